"""Counterfactual augmentation: texts once more, about other people, to be answered as they were.

People are exchanged (Lu et al. 2018, "Gender Bias in Neural Natural Language Processing", section 4). As few texts say
who somebody is, people of whom nothing is said are also given a group, which makes a group's words no rarer in one
label than in another (after Dixon et al. 2018, "Measuring and Mitigating Unintended Bias in Text Classification",
section 4). None of these words are among those that `pipeline/evaluation/fairness.py` measures by, else a model would
be measured by what it was taught.
"""

import hashlib
import re
from collections.abc import Sequence

from pipeline.swaps import ARTICLE, Group, article_before, swap

GROUPS = (
    Group.of(
        "gender",
        ("male", "female"),
        "father/mother, fathers/mothers, dad/mom, dads/moms, son/daughter, sons/daughters, brother/sister, "
        "brothers/sisters, uncle/aunt, uncles/aunts, nephew/niece, nephews/nieces, grandfather/grandmother, "
        "grandpa/grandma, husband/wife, husbands/wives, groom/bride, boyfriend/girlfriend, boyfriends/girlfriends, "
        "widower/widow, boy/girl, boys/girls, lad/lass, lads/lasses, gentleman/lady, gentlemen/ladies, actor/actress, "
        "actors/actresses, hero/heroine, heroes/heroines, king/queen, kings/queens, prince/princess, "
        "princes/princesses, duke/duchess, emperor/empress, wizard/witch, wizards/witches, monk/nun, monks/nuns, "
        "waiter/waitress, waiters/waitresses, policeman/policewoman, policemen/policewomen, "
        "businessman/businesswoman, businessmen/businesswomen, spokesman/spokeswoman, chairman/chairwoman, sir/madam, "
        "masculine/feminine, masculinity/femininity",
    ),
    Group.of("race", ("white", "of colour"), "caucasian/hispanic, caucasians/hispanics, anglo/latino, anglos/latinos"),
    Group.of(
        "religion",
        ("Christian", "other"),
        "catholic/buddhist, catholics/buddhists, priest/imam, priests/imams, church/mosque, churches/mosques, "
        "bible/quran, christianity/islam",
    ),
    Group.of(
        "origin",
        ("Western", "other"),
        "german/chinese, french/japanese, italian/indian, italians/indians, canadian/iranian, canadians/iranians, "
        "australian/korean, australians/koreans, irish/turkish, spanish/vietnamese, swedish/pakistani, dutch/kenyan",
    ),
    Group.of("orientation", ("heterosexual", "homosexual"), "heterosexuality/homosexuality"),
    Group.of(
        "names",
        ("European American", "African American"),
        "kristen/tamika, meredith/tanisha, laurie/aisha, sarah/latonya, matthew/leroy, "
        "brendan/hakim, brett/tremayne, neil/kareem",
    ),
)
# what people may be said to be, by group
DESCRIBED = {
    "gender": "feminine, masculine, nonbinary, transgender",
    "race": "Caucasian, Hispanic, Latino, Asian, biracial, Aboriginal, Polynesian",
    "religion": "Catholic, Buddhist, Jewish, Sikh, Mormon, Methodist, Quaker, Hasidic, Shia, Sunni, atheist, Orthodox",
    "origin": "German, Chinese, French, Japanese, Italian, Indian, Canadian, Iranian, Australian, Korean, Irish, "
    "Turkish, Spanish, Vietnamese, Swedish, Pakistani, Dutch, Kenyan, Russian, Cuban, Polish, Brazilian, Greek, "
    "Egyptian, Norwegian, Somali, Filipino, Arab, Israeli, Ethiopian",
    "orientation": "lesbian, bisexual, queer, asexual",
}
DESCRIPTIONS = tuple(tuple(words.split(", ")) for words in DESCRIBED.values())
PERSONS = (
    "friend neighbor neighbour writer author director filmmaker character protagonist cop detective lawyer soldier "
    "singer musician artist comedian viewer fan lover stranger worker villager roommate partner classmate teenager "
    "teen adult citizen journalist novelist poet politician scientist performer"
)
_PERSON = re.compile(rf"{ARTICLE}(?<![\w-])(?P<person>(?:{PERSONS.replace(' ', '|')})s?)(?![\w-])", re.IGNORECASE)


def counterfactuals(texts: Sequence[str], known: set[str]) -> list[tuple[int, str]]:
    """Return texts about other people, each with the index of the text that it was made of.

    A text that holds terms of several groups has one for each of them, and one more where it speaks of a person
    (`describe`). Those that stand in `known` are left out, so that none is a row of dev or test, and each appears once.
    """
    seen, found = set(known), []
    for index, text in enumerate(texts):
        swaps = (swap(text, group) for group in GROUPS)
        for made in (*(swapped and swapped.text for swapped in swaps), describe(text)):
            if made is not None and made not in seen:
                seen.add(made)
                found.append((index, made))
    return found


def describe(text: str) -> str | None:
    """Return `text` with the first of PERSONS in it said to be of some group, None where it speaks of none.

    A hash of the text chooses the group and then the word, so that rare groups are named as often as others.
    """
    match = _PERSON.search(text)
    if match is None:
        return None
    digest = hashlib.sha256(text.encode()).digest()
    words = DESCRIPTIONS[digest[0] % len(DESCRIPTIONS)]
    word = words[digest[1] % len(words)]
    article = f"{article_before(match['article'], word)}{match['space']}" if match["article"] else ""
    return f"{text[: match.start()]}{article}{word} {match['person']}{text[match.end() :]}"
