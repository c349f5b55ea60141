import numpy as np
import pandas as pd
import pytest

from tests.support import evaluation_page as made
from tests.support.evaluation_page import evaluation, everything, history, page, plain, score, write
from tests.support.report_page import CLASSES, Page, Samples, read_findings, some, square, tabulate
from tests.support.score_tables import AREA, of_dice
from unetflow.config.evaluation import ScoreParameters
from unetflow.evaluation.summary import Conditions, summarise_scores
from unetflow.inference.postprocessing import Postprocessing
from unetflow.reporting import evaluation_report
from unetflow.reporting.html_page import render


def test_page_is_whole_and_needs_no_other_file():
    whole = Page(everything())
    tags = [tag for tag, _ in whole.elements]
    assert not {"script", "link", "iframe", "object", "form"} & set(tags)
    identifiers = [a["id"] for _, a in whole.elements if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    assert {a["href"] for _, a in whole.elements if "href" in a} <= {f"#{i}" for i in identifiers}
    pictures = [a for tag, a in whole.elements if tag == "img"]
    assert len(pictures) == 2 * 12 + 2 * 2 + 7
    assert all(a["src"].startswith("data:image/") for a in pictures)
    assert all(len(a["alt"]) > 10 for a in pictures)
    for outside in ("http:", "https:", "url(", "not computed"):
        assert outside not in whole.html


def test_names_are_escaped():
    evil = "<script>alert(1)</script>"
    samples = Samples({name: square(seed=n) for n, name in enumerate(("a", "b", evil))})
    classes = ["back`ground", '"><b onclick=x>']
    table = tabulate(samples, ["train", "validation", "test"], classes, split_rule="<u>")
    metrics = {"class": classes[1], "threshold": 0.4, "scores": {"dice": score(0.8)}}
    metrics["scores"]["dice_<i>"] = score(0.8, definition="<s>")
    labels = pd.DataFrame({"id": [evil], "<q>": ["?"]})
    shown = evaluation(samples, table, metrics=metrics, suspicious_labels=labels)
    parameters = {"classes": [{"name": "<em>"}], "images": "</pre><h1>"}
    found = Page(
        write(samples, shown, classes, parameters=parameters, command="kedro run --env '<a>'")
    )
    assert not {"script", "u", "s", "i", "q", "em"} & {tag for tag, _ in found.elements}
    assert not any("onclick" in attributes for _, attributes in found.elements)
    assert found.figures[0]["text"][0] == evil
    assert found.tables["Training masks that may be wrong"] == [["id", "<q>"], [evil, "?"]]
    assert ["classes", '[{"name": "<em>"}]', ""] in found.tables["Every parameter of the run"]
    assert "kedro run --env '<a>'" in found.texts["repeat"]
    assert "<u> (3 images)" in found.texts["data"]


@pytest.mark.usefixtures("blank_charts")
def test_baselines_are_shown_with_the_difference_and_its_interval():
    other = {"mean": 0.61, "mean_difference": 0.19, "interval": [0.1, 0.28], "p_value": 0.0004}
    few = {"mean": 0.8, "mean_difference": -0.004, "interval": None, "p_value": None}
    baselines = {
        "baselines": [
            {"name": "Otsu's threshold", **other, "group_p_value": 0.031},
            {"name": "previous champion, cells version 2", **few, "group_p_value": None},
        ],
        "definition": "first less second",
    }
    found = page(30, baselines=baselines)
    title = "Dice of baselines on the same test images, and the difference of this model"
    assert found.tables[title] == [
        ["compared with", "its Dice", "difference", "95 % interval", "p", "p over groups"],
        ["Otsu's threshold", "0.610", "+0.190", "0.100 to 0.280", "below 0.001", "0.031"],
        ["previous champion, cells version 2", "0.800", "-0.004", "-", "-", "-"],
    ]
    assert "first less second" in found.texts["scores"]


@pytest.mark.usefixtures("blank_charts")
def test_review_list_reports_its_rank_correlation():
    review = pd.DataFrame({"id": ["1"], "expected_error": [0.2]})
    check = {"images": 9, "spearman": 0.731}
    found = page(30, needs_review=review, review_check=check)
    assert "rank correlation of the expected with the true error is 0.73" in found.texts["review"]
    found = page(30, needs_review=review, review_check=check | {"spearman": None})
    assert "rank correlation" not in found.texts["review"]


@pytest.mark.usefixtures("blank_charts")
def test_summary_has_the_main_score_with_its_interval():
    means = {"dice": score(0.8, interval=[0.712, 0.87]), "iou": score(0.7), "otsu_dice": score(0.6)}
    found = page(means=means)
    text = " ".join(found.texts["summary"].split())
    assert "0.800 Dice of nucleus" in text
    assert "95 % interval 0.712 to 0.870" in text
    assert "finds nucleus, trained for 4 epochs on 60 images and tested on 20 test images" in text
    facts = found.facts
    assert facts["IoU"] == "0.700"
    assert facts["Dice of Otsu's threshold"] == "0.600"
    assert facts["Worst test image"] == "0.700 (s004)"
    assert facts["Threshold"] == "0.400"
    assert facts["Best epoch"] == "3 of 4"


def test_missing_results_are_reported():
    bare = plain()
    assert "interval was not computed" in bare.texts["summary"]
    for section in ("calibration", "review"):
        assert "It was not computed." in bare.texts[section]
    assert "The search was not run." in bare.texts["labels"]


def test_empty_tables_are_no_error():
    empty = pd.DataFrame({"id": [], "expected_error": []})
    curve = pd.DataFrame({"threshold": [], "validation_dice": []})
    found = page(needs_review=empty, suspicious_labels=empty, threshold_curve=curve)
    assert "most probable class" in found.texts["threshold"]
    assert "It was not computed." in found.texts["review"]
    assert "None was found" in found.texts["labels"]


@pytest.mark.usefixtures("blank_charts")
def test_long_lists_are_truncated_with_a_count():
    review = pd.DataFrame({"id": [f"s{n}" for n in range(60)], "expected_error": 0.59})
    found = page(needs_review=review.assign(error=np.nan))
    rows = found.tables["Test images to review"]
    assert rows[:2] == [["id", "expected error", "error"], ["s0", "0.590", "-"]]
    assert len(rows) == 51
    assert "10 more images not listed." in found.texts["review"]


@pytest.mark.usefixtures("blank_charts")
def test_ranking_scores_follow_those_of_images():
    pooled = {"average_precision": {"value": 0.9, "error": 0.01, "definition": "of all pixels"}}
    scores = {"dice": score(0.8)} | {f"score_{n}": score(n / 9) for n in range(8)}
    metrics = {"class": "nucleus", "threshold": 0.4, "scores": scores, "pooled": pooled}
    found = page(metrics=metrics)
    assert len(found.tables["Scores of the test images"]) == 1 + 2 * 8
    rows = found.tables["More scores of the test images"]
    assert rows[1][:2] == ["Score 7", "0.778"]
    assert rows[3:] == [["Average precision of all pixels", "0.900", "-", "-"], ["of all pixels"]]


@pytest.mark.usefixtures("blank_charts")
def test_only_the_images_that_are_shown_are_opened_and_predicted():
    predicted = []

    def predict(image):
        predicted.append(image.shape)
        return np.zeros(image.shape[:2], np.uint8)

    samples, table = some(300)
    shown = evaluation(samples, table)
    found = Page(write(samples, shown, predict=predict))
    names = [figure["text"][0] for figure in found.figures]
    ids = shown.image_scores["id"].tolist()
    assert names == ids[:4] + ids[28:32] + ids[-4:]
    assert samples.opened == names
    assert len(predicted) == 12
    assert found.figures[0]["text"][1] == "Dice 0.700"
    assert "missed, 0 % wrongly added" in found.figures[0]["text"][2]


def test_page_of_noise_stays_below_two_megabytes():
    random = np.random.default_rng(0)
    noise = square(400, channels=3)
    noise.label[:] = random.integers(0, 2, noise.label.shape)
    samples = Samples(dict.fromkeys((f"s{n}" for n in range(300)), noise))
    table = tabulate(samples, ["train"] * 40 + ["validation"] * 10 + ["test"] * 250)
    html = write(samples, evaluation(samples, table), predict=lambda image: noise.label[::-1])
    assert len(html) < 2e6


def test_errors_are_shown_over_size_only_where_sizes_differ():
    assert "All test images have the same size" in plain().texts["errors"]
    several = Page(everything())
    assert "the same size" not in several.texts["errors"]
    rows = several.tables["By size of the image in pixels"][1:]
    assert sum(int(row[1]) for row in rows) == 20
    assert rows[0][0].startswith("5,952 to ")


def test_every_parameter_is_listed_with_its_planned_value():
    rows = plain().tables["Every parameter of the run"][1:]
    assert ["seed", "42", ""] in rows
    assert ["model.depth", "null", "3"] in rows
    assert ["model.base_filters", "16", ""] in rows
    assert ["training.loss.bce", "1.0", ""] in rows
    assert len(rows) == 7


def test_model_card_states_use_and_limitations():
    samples, table = some(10)
    card = made.card(evaluation(samples, table))
    assert card["intended_use"].startswith(
        "Segmentation of nucleus in images like the 6 training images"
    )
    assert any("beyond 3 to 201" in limit for limit in card["limits"])
    assert "1,234" in plain().texts["model"]
    assert "files differed" in Page(write(samples, evaluation(samples, table), changed=True)).html


def test_what_objects_cost_and_which_counts_to_doubt_is_said():
    samples, table = some(10)
    results = evaluation(samples, table)
    removal = "Objects of fewer than 28 pixels are removed: 3 of the 1,204 are smaller."
    doubt = "No sample numbers its objects: do not trust counts."
    card = made.card(results)
    assert doubt not in Page(write(samples, results)).html
    card |= {"removal": removal, "doubt": doubt}
    html = evaluation_report.write_evaluation_report(
        results, card, made.PARAMETERS, samples, lambda image: (image[:, :, 0] > 100).astype("u1")
    )
    texts = Page(html).texts
    assert removal in texts["threshold"]
    assert doubt in texts["objects"]
    assert "was not checked" not in texts["objects"]  # for a reason that is said already


def advise(judged, parameters=made.PARAMETERS):
    card = made.card(judged)
    advice = evaluation_report.advise(judged, card, parameters)
    return read_findings(render("advice.html", {"results": judged, "card": card, "advice": advice}))


GOOD = {"dice": score(0.8), "precision": score(0.8), "recall": score(0.8)}
ADVICE = [
    ({}, "fine", "Nothing stands out"),
    ({"means": GOOD | {"otsu_dice": score(0.8)}}, "wrong", "which learns nothing"),
    ({"count": 40}, "doubtful", "only 8 test images"),
    ({"count": 40}, "doubtful", "Test on all 40 images with a cross-validation"),
    (
        {"history": history([0.8] * 6, (0.2, 0.84, 0.1, 0.83, 0, 0.8))},
        "doubtful",
        "from 0.840 to 0.000",
    ),
    ({"history": history((0.5, 0.7), (0.5, 0.8))}, "doubtful", "still learning"),
    ({"history": history((0.7, 0.7), (0.8, 0.7))}, "doubtful", "The first epoch was the best"),
    ({"history": history((0.5, 0.95, 0.9), (0.5, 0.8, 0.7))}, "doubtful", "The network overfits"),
    ({"means": GOOD | {"dice": score(0.65)}}, "doubtful", "test images score lower (0.650)"),
    ({"means": GOOD | {"recall": score(0.6)}}, "doubtful", "misses more than it adds"),
    ({"means": GOOD | {"precision": score(0.6)}}, "doubtful", "adds more than it misses"),
    (
        {"suspicious_labels": pd.DataFrame({"id": ["a"]})},
        "doubtful",
        "1 training mask may be wrong",
    ),
]


@pytest.mark.parametrize(("changes", "level", "text"), ADVICE, ids=[text for *_, text in ADVICE])
def test_each_weakness_has_its_own_advice(changes, level, text):
    changes = dict(changes)
    samples, table = some(changes.pop("count", 100))
    ((found, said, has_fix),) = advise(evaluation(samples, table, **changes))
    assert found == level
    assert text in said
    assert has_fix


def test_few_test_images_are_enough_where_their_mean_is_certain():
    samples, table = some(40)
    certain = {"dice": score(0.8, interval=[0.77, 0.83])}
    ((level, text, _),) = advise(evaluation(samples, table, certain))
    assert (level, text.startswith("Nothing stands out")) == ("fine", True)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"training": {"epochs": None}, "budget": {"minutes": 10}}, "Raise budget.minutes: 10."),
        ({"training": {"epochs": 2}, "budget": {"minutes": 10}}, "Raise training.epochs: 2."),
        ({"training": {"epochs": 3, "minutes": 5}}, "Raise training.minutes: 5."),
        ({"training": {"epochs": 3}}, "Raise training.epochs: 3."),
    ],
)
def test_a_short_training_is_answered_with_the_parameter_that_is_set(parameters, named):
    samples, table = some(100)
    rising = evaluation(samples, table, history=history((0.5, 0.7), (0.5, 0.8)))
    ((_, text, _),) = advise(rising, parameters)
    assert named in text


def test_a_curve_that_is_flat_at_its_end_is_not_called_short():
    samples, table = some(100)
    flat = evaluation(samples, table, history=history([0.9] * 4, (0.6, 0.8, 0.895, 0.9)))
    assert advise(flat)[0][0] == "fine"


def test_suspicious_masks_are_shown():
    samples, table = some(100)
    ids = table.loc[table["split"] == "train", "id"].tolist()
    suspicious = pd.DataFrame({"id": ids[:10]})
    shown = Page(write(samples, evaluation(samples, table, suspicious_labels=suspicious)))
    assert samples.opened[-8:] == ids[:8]
    names = [figure["text"][0] for figure in shown.figures]
    assert names[-8:] == ids[:8]


def test_images_with_a_low_score_are_counted():
    samples, table = some(100)
    judged = evaluation(samples, table)
    judged.image_scores.loc[[3, 5], "dice"] = 0.49
    assert "2 test images of 20 have a Dice below 0.5" in advise(judged)[0][1]
    assert CLASSES[1] in made.card(judged)["intended_use"]


def with_empties(*dice, alarms, **columns):
    """Make a report on a test split in which some images are empty."""
    samples, table = some(100)
    ids = table.loc[table["split"] == "test", "id"].tolist()
    dice = (*dice, *np.linspace(0.7, 0.9, len(ids) - len(alarms) - len(dice)))
    scores = of_dice(dice, alarms, ids=ids, **columns)
    scores = scores.assign(**dict.fromkeys(("iou", "precision", "recall"), scores["dice"]))
    conditions = Conditions(CLASSES, Postprocessing(threshold=0.5), ScoreParameters())
    metrics = summarise_scores(scores, {}, conditions).model_dump(mode="json")
    return samples, evaluation(samples, table, image_scores=scores, metrics=metrics)


def test_false_alarms_and_the_strongest_yardstick_are_beside_the_headline():
    found = Page(write(*with_empties(alarms=[0, 50, 3])))
    summary = " ".join(found.texts["summary"].split())
    assert "0.800 Dice of nucleus, mean over the 17 of 20 test images that hold it" in summary
    assert "No better than" not in summary
    assert found.facts["False alarms"] == "2 of 3 empty images got a false alarm"
    assert found.facts["Dice charged for false alarms"] == "0.776"
    assert found.facts["Strongest yardstick"] == "finding everything: 0.002"
    assert found.facts["Worst test image"].startswith("0.700")
    rows = {row[0]: row[1] for row in found.tables["Scores of the test images"][1:] if row[1:]}
    more = {row[0]: row[1] for row in found.tables["More scores of the test images"][1:] if row[1:]}
    lines = rows | more
    assert lines["Sensitivity by image"] == "1.000"
    assert lines["Specificity by image"] == "0.333"
    assert {"Dice", "Dice of all pixels together", "ROC AUC by image"} <= set(lines)
    texts = [figure["text"] for figure in found.figures]
    assert texts[-2][1] == "empty, but 500,000 pixels found"
    assert len([t for t in texts if t[1].startswith("empty")]) == 2


def test_a_model_that_beats_no_yardstick_is_called_that_first():
    otsu = {"otsu_found_pixels": AREA, "otsu_correct_pixels": AREA * 95 // 100}
    found = Page(write(*with_empties(alarms=[0], **otsu)))
    level, text = found.findings[0]
    assert level == "wrong"
    assert text.split()[2:7] == ["No", "better", "than", "Otsu's", "threshold,"]
    assert "The Dice charged for false alarms is 0.800, and 0.948 by Otsu's threshold" in " ".join(
        text.split()
    )
    assert found.texts["summary"].split()[:3] == ["Fix", "this", "No"]
    assert "do not use this model" in found.texts["model"]


def test_a_test_split_without_foreground_has_no_headline_but_false_alarms():
    samples, judged = with_empties(alarms=[0, 4] + [0] * 18)
    found = Page(write(samples, judged))
    sentence = "No Dice, since none of the 20 test images holds class 'nucleus'."
    assert sentence in " ".join(found.texts["summary"].split())
    assert sentence in " ".join(found.texts["errors"].split())
    assert found.facts["False alarms"] == "1 of 20 empty images got a false alarm"
    assert "Worst test image" not in found.facts
    assert "No test image holds foreground" in advise(judged)[0][1]
    assert len(found.figures) == 1
