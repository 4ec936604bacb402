"""More words of `knowledge.sensitive`: what counts wherever a person is named and neither work nor taste is. Data."""

import re

from knowledge.sensitive_words import START

# Words that speak of somebody's own condition, faith, ... wherever a person is named and neither work nor taste is.
STRONG: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (topic, re.compile(rf"\b(?:{words})\b", re.IGNORECASE))
    for topic, words in (
        (
            "health",
            r"depression|depressed|illness|disabled|disabilit(?:y|ies)|anxiety|autis(?:m|tic)|diabet(?:es|ic)|cancer|"
            r"alcoholi(?:c|sm)|addiction|pregnan(?:t|cy)|dementia|epilep(?:sy|tic)|hiv|chronic pain|wheelchair|ptsd|"
            r"schizophreni\w+|bipolar|therapy|medication|mental health|suicidal|infertil\w+",
        ),
        (
            "faith",
            r"catholics?|catholicism|christians?|christianity|muslims?|islam|jews?|jewish|judaism|hindus?|hinduism|"
            r"buddhis(?:t|ts|m)|sikhs?|mormons?|protestants?|evangelicals?|atheis(?:t|ts|m)|agnostic|religious|church|"
            r"mosque|synagogue|shabbat|ramadan|religion",
        ),
        (
            "politics",
            r"republicans?|democrats?|socialis(?:t|ts|m)|communis(?:t|ts|m)|libertarian|marxis[tm]|anarchis[tm]|"
            r"(?:left|right)-wing\w*|(?:left|right)-leaning|trade unionist|labour party|conservative party|"
            r"far[- ]right",
        ),
        (
            "origin",
            r"immigrants?|migrants?|refugees?|ethnicity|ethnic minority|african[- ]american|hispanic|latin[oax]|"
            r"mixed race|mixed-race|descent|ancestry|nationality|citizen of",
        ),
        (
            "orientation",
            r"gay|lesbian|bisexual|homosexual(?:ity)?|heterosexual|queer|transgender|asexual|same-sex|lgbt\w*",
        ),
    )
)
PERSON = re.compile(
    rf"\b(?:he|she|they|his|her|their|(?:the|this) (?:person|user|viewer|reader|listener|customer|rater)(?:'s)?)\b|"
    rf"{START}\s*(?:is|has|had|was|seems|appears|lives|an?|\w+ly|perhaps|maybe)\b",
    re.IGNORECASE,
)
TASTE = re.compile(
    r"\b(?:likes?|lik(?:ed|ing)|enjoys?|loves|loved|prefers?|favou?rs?|favou?red|favou?rites?|draw[ns]?|warms?|warm|"
    r"responds?|appreciat\w+|fond|moves?|moved|engag\w+|interest\w*|bore[sd]?|excit\w+|repel\w*|dislik\w+|reject\w*|"
    r"hate[sd]?|appeal\w*|fascinat\w+|welcome|suits?|avoids?|rates|values?|touch\w*|taste|partial to|fan|scorn\w*|"
    r"cool|"
    r"cold|impress\w*|please[sd]?|amuse[sd]?|thrill\w*|attract(?:s|ed) by|curious|treated|admir\w+|seeks?|accepts?|"
    r"tolera\w+|trust\w*|wants?|cares?|looks for|roots|satisf\w+|fall(?:s)? flat|gets?|got|leave[sn]?|left (?:her|"
    r"him))\b",
    re.IGNORECASE,
)
