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
            r"schizophreni\w+|bipolar|therap(?:y|ist)|psychiatr\w+|medication|antidepressants|mental(?:ly)? \w+|"
            r"suicidal|"
            r"infertil\w+|dyslexi[ac]|bedridden|(?:weight|health|drinking|drug|sleep) problems?|medical condition|"
            r"condition of the \w+|overweight|obes(?:e|ity)|eating disorder|anorexi[ac]|bulimi[ac]|asthma\w*|"
            r"arthritis|"
            r"stroke|heart (?:disease|attack|condition)|blindness|deafness|hearing loss|insomnia|burn-?out|rehab|"
            r"sobriety|"
            r"tumou?r|chemotherapy|surgery|disease|syndrome|allerg(?:y|ic)|migraines?|parkinson\w*|alzheimer\w*",
        ),
        (
            "faith",
            r"catholics?|catholicism|christians?|christianity|muslims?|islam|jews?|jewish|judaism|hindus?|hinduism|"
            r"buddhis(?:t|ts|m)|sikhs?|mormons?|protestants?|evangelicals?|atheis(?:t|ts|m)|agnostic|religious|church|"
            r"mosque|synagogue|shabbat|sabbath|ramadan|religion|religiosity|bible|quran|koran|torah|prayers?|nun|"
            r"monk|priest|"
            r"jehovah\w*|reincarnation|belief in \w+|pious|piety|devout\w*|baptis(?:t|ed)|scientolog\w+|worship\w*|"
            r"god-fearing|kosher|halal|faithful to (?:god|the church)|born-again|secular upbringing|parish|clergy",
        ),
        (
            "politics",
            r"republicans?|democrats?|socialis(?:t|ts|m)|communis(?:t|ts|m)|libertarian|marxis[tm]|anarchis[tm]|"
            r"(?:left|right)-wing\w*|(?:left|right)-leaning|trade unionist|labour party|conservative party|"
            r"far[- ](?:right|left)|monarchist|nationalist|green party|party member|communist party|pro-(?:life|"
            r"choice)|"
            r"anti-(?:abortion|immigration|war activist)|views on (?:abortion|immigration|gun\w*|politics)|"
            r"voter|voting for|conservatism|political (?:party|views?|opinions?|leanings?|convictions?)|"
            r"environmental activist|feminist|brexit\w*|trump|(?:left|right) of the (?:spectrum|centre|center)",
        ),
        (
            "origin",
            r"immigrants?|migrants?|refugees?|ethnicity|ethnic minority|african[- ]american|hispanic|latin[oax]|"
            r"mixed race|mixed-race|descent|ancestry|nationality|citizen of|expat\w*|diaspora|asylum|indigenous|"
            r"native american|foreign-born|born in \w+|(?:grew|growing) up in|parents from|family from|skin colou?r|"
            r"(?:cuban|irish|italian|polish|mexican|african|asian|jewish|turkish|german|indian|chinese|latin|"
            r"caribbean|"
            r"eastern european|middle eastern|ethnic) (?:roots|origins?|background|heritage|family|parents|descent)|"
            r"black (?:man|woman|person)|person of colou?r|moved (?:here )?from",
        ),
        (
            "orientation",
            r"gay|lesbian|bisexual|homosexual(?:ity)?|heterosexual|queer|transgender|asexual|same-sex|lgbt\w*|"
            r"closeted|"
            r"not straight|(?:dates|dating|loves|sleeps with) (?:other )?(?:women|men)|sexual (?:orientation|"
            r"identity)|"
            r"(?:another|other) (?:woman|man)|boyfriend|girlfriend|male partner|female partner|transition(?:ing)?",
        ),
    )
)
PERSON = re.compile(
    rf"\b(?:he|she|they|his|her|their|(?:the|this) (?:person|user|viewer|reader|listener|customer|rater)(?:'s)?|"
    r"someone|somebody|may|might|likely|probably|perhaps|presumably|possibly|apparently|explains?|in a relationship|"
    r"could be|must be)\b|"
    rf"{START}\s*(?:is|has|had|was|seems|appears|lives|living|an?|of|as|\w+ly|maybe|reads|visits|attends|follows|"
    r"holds|keeps|works|identifies|member|raised|born|grew|came|comes|belongs|supports|votes)\b",
    re.IGNORECASE,
)
TASTE = re.compile(
    r"\b(?:likes?|lik(?:ed|ing)|enjoys?|loves(?! (?:other )?(?:women|men)\b)|loved|loses|impatien\w+|patien\w+|"
    r"soft spot|"
    r"prefers?|favou?rs?|favou?red|favou?rites?|draw[ns]?|warms?|warm|"
    r"responds?|appreciat\w+|fond|moves?|moved|engag\w+|interest\w*|bore[sd]?|excit\w+|repel\w*|dislik\w+|reject\w*|"
    r"hate[sd]?|appeal\w*|fascinat\w+|welcome|suits?|avoids?|rates|values?|touch\w*|taste|partial to|fan|scorn\w*|"
    r"cool|"
    r"cold|impress\w*|please[sd]?|amuse[sd]?|thrill\w*|attract(?:s|ed) by|curious|treated|admir\w+|seeks?|accepts?|"
    r"tolera\w+|trust\w*|wants?|cares?|looks for|roots for|satisf\w+|fall(?:s)? flat|gets?|got|leave[sn]?|left (?:her|"
    r"him))\b",
    re.IGNORECASE,
)
