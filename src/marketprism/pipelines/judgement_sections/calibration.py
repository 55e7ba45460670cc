"""Are the probabilities true, could they be repaired, and can a Brier gate be reached at all."""

from __future__ import annotations

from marketprism.evaluate.calibrated import RAW, Attainability, Calibrated, CalibratedMethod, CalibratedModel
from marketprism.evaluate.case import Case
from marketprism.pipelines.texts import horizon_text, interval, number, share
from marketprism.report.document import Figure, Item, Note, Section, Table, Tone
from marketprism.report.figures import confidence as draw

__all__ = ["calibration_section"]

_INTRO = (
    "When the model says 60 %, does it happen 60 % of the time, and if not, can its past errors mend it? Each fold's "
    "probabilities are remapped with what earlier folds had shown by then. It would be bad if the raw probabilities "
    "were worse than stating base rates (negative skill) or off by more than chance (small p)."
)
_LONG = {"raw": "raw", "isotonic": "isotonic", "platt": "Platt", "beta": "beta"}


def calibration_section(result: Calibrated, case: Case) -> Section:
    """Compare raw with repaired probabilities, and say which Brier scores are within reach."""
    items: list[Item] = [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    for name, one in result.models.items():
        items.append(_answer(name, one, case))
    if result.models:
        items.append(_methods(result))
    for name, one in result.models.items():
        items += _curves(name, one)
    if result.models:
        items.append(_attainable(result))
    return Section("calibration", "Calibration", _INTRO, items)


def _answer(name: str, one: CalibratedModel, case: Case) -> Note:
    raw = one.methods[RAW]
    p_value = raw.test.p_value if raw.test else 1.0
    found = f"{name}: the raw probabilities are off by {'more than' if p_value < 0.05 else 'what'} chance explains"
    found += f" (p {_p(p_value)}, next {horizon_text(case.judgement.primary)})"
    if one.recommended == RAW:
        return Note(f"{found}; no repair would have helped.", _tone(p_value))
    gain = one.methods[one.recommended].metrics["gain"]
    said = f"{found}; {one.recommended} calibration does best, Brier score {number(100 * gain.value, 2)} % lower"
    if gain.star:
        return Note(f"{said}, more than chance explains: use it.", "good")
    return Note(f"{said}, which chance explains: no need.", _tone(p_value))


def _tone(p_value: float) -> Tone:
    return "warn" if p_value < 0.05 else "good"


def _p(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.0011 else f"{value:.3f}"


def _methods(result: Calibrated) -> Table:
    rows = []
    for name, one in result.models.items():
        for method, part in one.methods.items():
            rows.append([name, _LONG.get(method, method), *_cells(part, raw=method == RAW)])
    count = min(one.rows for one in result.models.values())
    return Table(
        ["model", "probabilities", "Brier skill", "log-loss skill", "gain over raw (%)", "ECE, debiased", "p of ECE"],
        rows,
        "Raw and repaired probabilities, out of sample",
        f"Same {count:,} rows for all. Isotonic: any rising steps; Platt: an S-curve; beta: a lopsided one; 'chosen on "
        "the past': always the one that had been best by then, which is what could have been earned. Skill: share of "
        "the loss of stating base rates that is saved. Gain: share of the raw Brier score that is saved. ECE: mean gap "
        "between said and seen P(up), less what noise adds (it may come out negative); p: chance of such a gap if "
        "every probability were true. ★ whole interval above zero, on enough samples.",
        text_columns=["model", "probabilities"],
        wide=True,
    )


def _cells(part: CalibratedMethod, *, raw: bool) -> list[str]:
    gain = part.metrics["gain"]
    percent = f"{number(100 * gain.value, 2)} [{number(100 * gain.low, 2)}, {number(100 * gain.high, 2)}]"
    return [
        interval(part.metrics["brier_skill"], 4) + (" ★" if part.metrics["brier_skill"].star else ""),
        interval(part.metrics["log_loss_skill"], 4) + (" ★" if part.metrics["log_loss_skill"].star else ""),
        "–" if raw else percent + (" ★" if gain.star else ""),
        interval(part.metrics["ece"], 3),
        _p(part.test.p_value if part.test else None),
    ]


def _curves(name: str, one: CalibratedModel) -> list[Item]:
    curves = {}
    for method, name_shown in _LONG.items():
        if method in one.methods:
            predicted, observed, low, high = (
                one.methods[method].curve[column].to_numpy() for column in ("predicted", "observed", "low", "high")
            )
            curves[name_shown] = (predicted, observed, low, high)
    return [
        Figure(
            draw.reliability(curves),
            f"Reliability of {name}",
            "Bins of equal count with 95 % intervals. On the line, probabilities are true; red bins miss it by more "
            "than their interval. A method that bunches all points together has learnt the base rate only.",
            wide=True,
        )
    ]


def _attainable(result: Calibrated) -> Table:
    gate = f"{result.gate:g}"

    def row(name: str, one: Attainability) -> list[str]:
        verdict = {
            "attainable": "within reach",
            "not attainable": f"out of reach: needs a correlation of {number(one.needed, 2)}",
            "passed by the base rate": "passed without any forecast: says nothing",
        }[one.verdict]
        return [
            name,
            one.question,
            share(one.base_rate),
            number(one.base_brier, 4),
            f"{number(one.correlation)} (at most {number(one.correlation_high)})",
            f"{number(one.best, 4)} (at best {number(one.best_high, 4)})",
            number(one.observed, 4),
            verdict,
        ]

    rows = [row(name, part) for name, one in result.models.items() for part in one.attainable]
    return Table(
        [
            "model",
            "question",
            "yes",
            "Brier of base rate",
            "correlation",
            "best possible Brier",
            "observed",
            f"gate 'Brier < {gate}'",
        ],
        rows,
        "Which Brier scores are possible",
        "With base rate b, a forecast whose correlation with the outcome is r reaches b (1 - b) (1 - r²) at best, once "
        "its level and scale are right; 'at most' and 'at best' take the far end of the interval of r. A fixed gate "
        "therefore tests the base rate more than the model; skill is the fair measure.",
        text_columns=["model", "question", f"gate 'Brier < {gate}'"],
        wide=True,
    )
