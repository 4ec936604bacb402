"""The words of `knowledge.sensitive`: what a claim on a person looks like. Data, as regular expressions."""

import re

START = "\x02"  # stands before the first clause of a sentence, where the person is the unsaid subject
TOPICS = ("health", "faith", "politics", "origin", "orientation")

SPLIT = re.compile(r"(?<=[.!?;])(?<![A-Z]\.)\s+|(?<=[\u3002\uff01\uff1f])\s*(?=\S)")

# Taste and works: what stands behind one of these, or in front of it as an adjective, is no claim on the person.
WORKS = (
    r"films?|movies?|cinema|dramas?|comed(?:y|ies)|epics?|sagas?|romances?|thrillers?|horror|stor(?:y|ies)|tales?|themes?|"
    r"themed|plots?|characters?|heroe?s?|heroines?|protagonists?|figures?|people who|books?|novels?|memoirs?|"
    r"biograph(?:y|ies)|biopics?|essays?|poetry|songs?|albums?|music|bands?|gospel|articles?|news|coverage|reports?|"
    r"columns?|satires?|humou?r|documentar(?:y|ies)|fiction|art|imagery|subjects?|topics?|issues?|questions?|"
    r"conflicts?|"
    r"narratives?|products?|genres?|plays?|series|arts|stud(?:y|ies)|authors?|directors?|actors?|writers?|artists?|"
    r"lovers?|"
    r"couples?|"
    r"struggles?|journeys?|settings?|scenes?|roles?|portraits?|works?|titles?|pieces?|tracks?|scores?|"
    r"tastes?|raters?|judges?|critics?|outsiders|misfits|believers in|for a good|mood|tone|endings?|"
    r"Filme?n?|Geschichten?|Figuren|Romane?|Dramen|Kom\u00f6dien|Themen|personnages|histoires|drames|romans|"
    r"pel\u00edculas|historias|personajes|dramas|novelas"
)
# What follows is an inference from the taste to the person, whatever films were named before.
INFERENCES = (
    r"suggest(?:s|ing)?|hint(?:s|ing)? (?:at|that)|impl(?:y|ies|ying)|indicat(?:e|es|ing)|reveal(?:s|ing)?|"
    r"point(?:s|ing)? to|speak(?:s|ing)? for|"
    r"which (?:may|might|could) mean|reflect(?:s|ing) (?:an?|the|his|her|their)|consistent with|likely due to|"
    r"probably due to|perhaps because"
)

_WHO = r"(?:the |this )?(?:person|user|viewer|reader|listener|customer|rater)|she|he|they"
_BE = r"is|are|was|were|seems(?: to be)?|appears(?: to be)?|looks|may be|might be|could be|must be|identif(?:y|ies) as"
_PERHAPS = r"probably|likely|perhaps|possibly|maybe|apparently|presumably|almost certainly"
_GAP = (
    r"(?:(?:an?|the|openly|deeply|very|rather|somewhat|strongly|quite|clearly|both|not|also|either|single|young|old|"
    r"older|"
    r"middle-aged|devout|devoutly|practi[sc]ing|strict|observant|committed|lapsed|born-again|former|secretly|closeted|"
    rf"chronically|clinically|severely|registered|staunch|lifelong|loyal|active|fervent|proud|recovering|"
    rf"second-generation|first-generation|{_PERHAPS})\s+)*"
)
_HOLDER = (
    r"(?:man|woman|person|viewer|user|reader|listener|believer|voter|supporter|activist|male|female|parent|"
    r"mother|father|student|household|family)"
)
_OPEN = rf"(?:\b(?:{_WHO})\s+(?:(?:{_PERHAPS})\s+)*(?:{_BE})|\b(?:being|as)|\b(?:{_PERHAPS})|{START}\s*(?:{_BE}))\s+"

# Unambiguous: enough as "is X". Others are ordinary adjectives of taste ("conservative", "black", "catholic") and
# count only with a person behind them ("a conservative voter").
_CLEAR = {
    "orientation": r"gay|lesbian|bisexual|homosexual|heterosexual|asexual|pansexual|queer|transgender|trans",
    "faith": (
        r"christians?|roman catholic|muslims?|jewish|a jew|hindu|buddhist|sikh|mormon|protestant|evangelical|"
        r"atheists?|"
        r"agnostic|religious|orthodox christian|(?:jehovah's )witness of jehovah|churchgoer|devout|pious|"
        r"(?:devout|practi[sc]ing|strict|lapsed|observant|a) catholics?|catholic (?=who\b|by\b|and (?:religious|"
        r"devout))"
    ),
    "politics": (
        r"republicans?|democrats?|socialists?|communists?|marxist|anarchist|fascist|libertarian|labour voter|tory|"
        r"left-wing|right-wing|far-right|far-left|left-leaning|right-leaning|left-wingers?|right-wingers?|leftist|"
        r"feminist|liberal-minded|"
        r"(?:anti|pro)-(?:abortion|choice|life|gun|immigration|war activist)|a liberal|"
        r"a (?:conservative|progressive)(?=\s*$|\s+who\b|\.|;)"
    ),
    "health": (
        r"on the (?:autism )?spectrum|(?:hearing|visually)[- ]impaired|depressed|disabled|diabetic|autistic|bipolar|"
        r"schizophrenic|alcoholic|anorexic|bulimic|dyslexic|epileptic|"
        r"hiv[- ]positive|pregnant|infertile|(?:mentally|chronically|terminally|seriously) ill|wheelchair[- ]bound|"
        r"in (?:therapy|rehab|recovery)|a (?:wheelchair user|cancer survivor|cancer patient|recovering \w+)|"
        r"on (?:antidepressants|medication)"
    ),
    "origin": (
        r"of mixed race|mixed-race|hispanic|latin[oax]|an? (?:migrant|refugee|immigrant)|african[- ]american|"
        r"asian[- ]american|mexican[- ]american|arab|roma|caucasian|"
        r"an? (?:first-generation |second-generation )?immigrants?|a foreigner|a refugee|"
        r"(?:ethnically|racially) \w+"
    ),
}
_WITH_HOLDER = {
    "politics": r"conservative|liberal|progressive|green|labour|pro-life|pro-choice|nationalist|feminist",
    "faith": r"catholic|orthodox|spiritual|born-again|god-fearing",
    "origin": (
        r"black|white|asian|african|indian|chinese|japanese|korean|mexican|polish|italian|irish|turkish|russian|"
        r"german|french|native american|jewish|foreign-born|non-white|immigrant"
    ),
    "health": r"blind|deaf|sick|ill|overweight|obese|addicted|traumati[sz]ed|suicidal",
    "orientation": r"straight|same-sex",
}

_NATIONS = (
    r"chinese|japanese|korean|indian|pakistani|mexican|polish|italian|irish|turkish|russian|german|french|spanish|"
    r"greek|swedish|dutch|british|english|american|canadian|brazilian|nigerian|egyptian|iranian|israeli|ukrainian"
)
_SYMPTOMS = {
    "health": r"depression|illness|disability|autism|addiction|alcoholism|anxiety|trauma|mental health|pregnancy|adhd",
    "faith": r"religiosity|piety|faith|religion|(?:christian|catholic|muslim|jewish|religious) (?:values|beliefs|"
    r"faith)",
    "politics": r"(?:left|right)-wing|socialis[mt]|conservatism|political (?:views|leanings|sympathies)",
    "origin": r"(?:immigrant|foreign|ethnic) \w+|ethnicity",
    "orientation": r"homosexuality|bisexuality|same-sex attraction|sexual orientation",
}
_POSS = r"(?:his|her|their|own|person's|user's|viewer's|reader's|listener's)"


def _all(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


ATTRIBUTES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (
        topic,
        _all(
            rf"{_OPEN}{_GAP}(?:{_CLEAR[topic]})(?![\w'-])(?!\s+(?:about|in (?:taste|choice|tone)|themed)\b)",
            rf"(?:{_OPEN}|\b(?:an?|the)\s+|{START}\s*){_GAP}(?:{_WITH_HOLDER[topic]}|"
            rf"{_CLEAR[topic]})\s+(?:[a-z]+\s+)?{_HOLDER}\b(?=\s*(?:$|[.;!?,]|who\b|in\b|of\b|with\b|and\b))",
            rf"{START}\s*{_GAP}(?:{_CLEAR[topic]})(?=\s+who\b)",
            rf"\b(?:{INFERENCES})\s+(?:(?:an?|some|the|his|her|their|possible|personal|strong|hidden)\s+)*"
            rf"(?:{_SYMPTOMS[topic]})\b",
        ),
    )
    for topic in TOPICS
)

# Facts without an "is". Not counted behind a work or a figure in the same sentence, unless it is an inference.
FACTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "health",
        _all(
            r"\bsuffer(?:s|ed|ing) from\b",
            rf"{START}\s*(?:living|struggling|dealing|coping) with [^,]*\b(?:pain|depression|addiction|illness|"
            r"disability|anxiety|cancer)\b",
            r"\bdiagnosed with\b",
            r"\b(?:struggle|live|cope|battle|deal)(?:s|d) (?:with )?(?:an? |the )?(?:clinical |chronic |mental |own )*"
            r"(?:depression|anxiety|addiction|alcoholism|illness|disability|cancer|hiv|ptsd|autism|diabetes|trauma|"
            r"eating disorder|insomnia|grief disorder)\b",
            rf"\b{_POSS} (?:own )?(?:\w+ )?(?:illness|disease|disability|depression|diagnosis|mental health|addiction|"
            r"pregnancy|therapy|medication|disorder|health (?:problems?|condition)|wheelchair|sobriety)\b",
            r"\b(?:ha[sd]|have|having) (?:an? |had )?(?:chronic |clinical |severe |mental )*(?:depression|cancer|hiv|"
            r"aids|"
            r"diabetes|autism|adhd|ptsd|dementia|anxiety disorder|eating disorder|illness|disability|health problems?|"
            r"bipolar disorder|drinking problem)\b",
            r"\b(?:personal|first-hand|own) (?:experience|history) (?:of|with) (?:\w+ )?(?:depression|addiction|"
            r"illness|"
            r"mental illness|disability|cancer|alcoholism)\b",
            r"\b(?:a|some) (?:mental health|depressive|health|medical) (?:issue|problem|condition|disorder|history)\b",
            r"\b(?:a|personal) (?:personal )?(?:struggle|battle) with (?:depression|addiction|illness|alcohol|"
            r"cancer)\b",
            r"\bleidet (?:\w+ )?(?:an|unter)\b",
            r"\bist (?:\w+ )?(?:depressiv|krank|behindert|schwanger|s\u00fcchtig)\b",
            r"\bsouffre (?:\w+ )?(?:d'|de )",
            r"\best (?:\w+ )?(?:d\u00e9pressi(?:f|ve)|malade|handicap\u00e9e?|enceinte)\b",
            r"\b(?:sufre|padece)(?: \w+)? de\b",
            r"\best\u00e1 (?:\w+ )?(?:deprimid[oa]|enferm[oa]|embarazada)\b",
        ),
    ),
    (
        "faith",
        _all(
            rf"\b{_POSS} (?:own )?(?:\w+ )?(?:faith|religion|religious \w+|church|mosque|synagogue|temple|god|piety|"
            r"atheism|belief in god)\b",
            r"\b(?:he|she|they|who|person|viewer|user|reader|listener) prays?\b",
            r"\b(?:christian|catholic|muslim|jewish|religious|biblical) (?:values|beliefs|convictions|views|"
            r"upbringing) "
            r"(?:guide|shape|drive|colou?r|explain|lead|inform)s?\b",
            r"\b(?:goes to|attends|prays|praying|attending) (?:a )?(?:church|mosque|mass|synagogue|temple|daily|"
            r"regularly)\b",
            r"\b(?:believes|belief|trusts) in (?:god|christ|jesus|allah)\b",
            r"\b(?:converted|convert) to (?:islam|christianity|judaism|catholicism|buddhism)\b",
            r"\b(?:an?|the|strong|deep|likely|probable) (?:\w+ )?(?:christian|catholic|muslim|jewish|religious|"
            r"protestant|"
            r"evangelical) (?:faith|upbringing|background|belief|beliefs|family|household|conviction|convictions)\b",
            r"\braised (?:as )?(?:an? )?(?:christian|catholic|muslim|jewish|religious|mormon|protestant)\b",
            r"\bist (?:\w+ )?(?:gl\u00e4ubig(?:er?)?|katholisch|evangelisch|muslimisch|j\u00fcdisch|religi\u00f6s|"
            r"christ|"
            r"muslimin?|ein(?:e)? \w*\s?(?:christ|katholik|muslim)(?:in)?)\b",
            r"\best (?:\w+ )?(?:catholique|musulmane?|juive?|croyante?|protestante?|religieu(?:x|se))\b",
            r"\bes (?:\w+ )?(?:cat\u00f3lic[oa]|musulm(?:\u00e1n|ana)|jud\u00ed[oa]|creyente|religios[oa]|"
            r"cristian[oa])\b",
        ),
    ),
    (
        "politics",
        _all(
            r"\b(?:votes?|voted|voting) (?:for |against )?(?:the )?(?:republican|democrat|labour|tory|conservative|"
            r"green|"
            r"left|right|socialist|trump|biden|obama|clinton|bush|reagan)\w*",
            r"\ban? (?:[\w-]+ ){0,3}(?:voter|party member)\b",
            r"\b(?:trump|biden|obama|clinton|bush|reagan|labour|tory|republican|democratic) (?:supporter|voter|fan)\b",
            r"\b(?:holds?|has|have) (?:[\w-]+ ){0,2}(?:political |conservative |liberal |progressive |radical )"
            r"(?:opinions|views|beliefs|convictions)\b",
            r"\b(?:socialist|communist|left-wing|right-wing) sympath\w+\b",
            r"\b(?:leans?|leaning) (?:politically |to the )?(?:left|right|liberal|conservative|republican|"
            r"democratic)\b",
            rf"\b{_POSS} (?:own )?(?:\w+ )?(?:politics|political \w+|party|party membership|vote|ideology)\b",
            r"\b(?:left|right)-(?:wing|leaning) (?:views?|politics|sympath\w+|leanings?|opinions?|beliefs?|stance)\b",
            r"\b(?:liberal|conservative|progressive|republican|democratic|socialist|radical) (?:political )?(?:views?|"
            r"sympath\w+|leanings?|opinions|beliefs|politics|voter|convictions?|worldview)\b",
            r"\bpolitically (?:\w+ )?(?:conservative|liberal|left\w*|right\w*|progressive|active|engaged|radical)\b",
            r"\b(?:supports|opposes|supporter of|opponent of) (?:the )?(?:republican|democrat|labour|tory|green|"
            r"socialist|"
            r"abortion|gun control|trump|biden|obama|clinton|bush)\w*",
            r"\bw\u00e4hlt (?:\w+ )?(?:die |den |das )?(?:cdu|spd|afd|gr\u00fcnen?|linken?|fdp|rechts|links|"
            r"konservativ)\b",
            r"\bvote (?:\w+ ){0,2}(?:\u00e0 |a )?(?:gauche|droite|socialiste|izquierda|derecha)\b",
            r"\bvota (?:\w+ )?(?:a |por )?(?:la )?(?:izquierda|derecha|socialistas?|conservador\w*)\b",
        ),
    ),
    (
        "origin",
        _all(
            r"\bof (?:\w+[ -]){0,2}(?:descent|origin|ancestry|heritage|extraction)\b(?!\s+(?:myth|stor))",
            r"\b(?:an?|the|likely|probable|possible) (?:[a-z]+[- ])?(?:immigrant|ethnic|minority|migrant|refugee) "
            r"(?:background|family|roots|origins?|parents)\b",
            rf"\b{_POSS} (?:own )?(?:\w+ )?(?:ethnicity|ethnic \w+|race|nationality|heritage|ancestry|ancestors|roots|"
            r"descent|homeland|native \w+|mother tongue|skin colou?r|country of origin|birthplace)\b",
            rf"(?:\b(?:{_WHO})\s+(?:(?:{_PERHAPS})\s+)*(?:{_BE})|{START}\s*(?:(?:{_BE}|{_PERHAPS})\s+)*(?:{_BE}|"
            rf"{_PERHAPS}))"
            rf"\s+{_GAP}(?:{_NATIONS})(?=\s*(?:$|[.;]|who\b|by\b|himself|herself))",
            rf"\b{_POSS} (?:grand)?parents (?:came|come|are|were|immigrated|emigrated|fled)\b",
            r"\bof mixed race\b",
            r"\b(?:was |were )?born (?:and raised )?in [A-Z]\w+\b",
            r"\b(?:immigrated|emigrated|fled) (?:from|to)\b",
            r"\b(?:grew|growing) up in [A-Z]\w+",
            r"\b(?:irish|polish|italian|mexican|african|asian|jewish|indian|chinese|turkish|german|latino|hispanic)"
            r"(?:[- ]american)? (?:roots|heritage|ancestry|background|parents|descent)\b",
            r"\bist (?:\w+ )?(?:t\u00fcrkischer|polnischer|ausl\u00e4ndischer|afrikanischer|"
            r"j\u00fcdischer) (?:herkunft|abstammung)\b",
            r"\b(?:hat|mit) (?:\w+ )?migrationshintergrund\b",
            r"\bd'origine (?:\w+)\b",
            r"\bde origen (?:\w+)\b",
        ),
    ),
    (
        "orientation",
        _all(
            rf"\b{_POSS} (?:own )?(?:\w+ )?(?:sexuality|sexual (?:orientation|identity|preferences?)|gender identity|"
            r"homosexuality|coming out)\b",
            rf"{START}\s*not (?:{_CLEAR['orientation']})\b",
            r"\b(?:he|his) (?:\w+ ){0,3}(?:husband|boyfriend)\b",
            r"\bhe is married to a man\b",
            r"\bshe is married to a woman\b",
            r"\b(?:she|her) (?:\w+ ){0,3}(?:wife|girlfriend)\b",
            r"\b(?:is|being|sexually|romantically) attracted to (?:men|women|the same sex|both sexes|other (?:men|"
            r"women))\b",
            r"\b(?:came|coming) out (?:as|of the closet)\b",
            r"\b(?:has|have|lives with|living with) (?:an? )?same-sex (?:partner|spouse|relationship)\b",
            r"\b(?:a|some|likely|possible|probable) (?:gay|lesbian|queer|homosexual|bisexual) (?:identity|"
            r"orientation|lifestyle)\b",
            r"\b(?:member|part) of the (?:lgbt\w*|gay|queer) community\b",
            r"\bist (?:\w+ )?(?:schwul|lesbisch|bisexuell|homosexuell|transsexuell)\b",
            r"\best (?:\w+ )?(?:gay|lesbienne|bisexuelle?|homosexuelle?|transgenre)\b",
            r"\bes (?:\w+ )?(?:gay|lesbiana|bisexual|homosexual)\b",
        ),
    ),
)
