"""Counterfactual augmentation: texts once more, with the people in them exchanged, to be answered as they were.

Source: Lu et al. 2018, "Gender Bias in Neural Natural Language Processing", section 4. None of these words are among
those that `pipeline/evaluation/fairness.py` measures by, else a model would be measured by what it was taught.
"""

from collections.abc import Sequence

from pipeline.swaps import Group, swap

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
)


def counterfactuals(texts: Sequence[str], known: set[str]) -> list[tuple[int, str]]:
    """Return texts with the terms of a group exchanged, each with the index of the text that it was made of.

    A text that holds terms of several groups has one for each of them. Those that stand in `known` are left out, so
    that none is a row of dev or test, and each appears once.
    """
    seen, found = set(known), []
    for index, text in enumerate(texts):
        for group in GROUPS:
            made = swap(text, group)
            if made is not None and made.text not in seen:
                seen.add(made.text)
                found.append((index, made.text))
    return found
