"""What changed since yesterday, in words. Pure."""

from dataclasses import replace

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.reading import Days
from devtelemetry.dashboard.state import PageState, address, narrow
from devtelemetry.dashboard.views.parts import clusters, known_share, tone_of
from devtelemetry.dashboard.views.values import Change
from devtelemetry.estimate.verdict import Word, compare
from devtelemetry.figures.derive import Totals, groups_of, sum_of
from devtelemetry.figures.sides import sentence, suspects
from devtelemetry.model import Dimension

# Only larger changes are shown; smaller ones are the noise of every day.
_RECEIVERS_CHANGED = 0.1
_KNOWN_CHANGED = 0.01
_NEW_SHARE = 0.01  # of the pairs: a new version with a smaller share is not worth a line


def changes(days: Days | None, asked: PageState, *, has_problems: bool = False) -> list[Change]:
    """Sentences that compare the last 24 hours with the 24 before, and say what may be chance.

    has_problems  whether problems are listed, which are judged by more than two days
    """
    if days is None or not days.after:
        return [Change("note", "There is not yet a full day of windows to compare.")]
    after, before = sum_of(days.after), sum_of(days.before)
    new, old = after.counts.delivery_ratio, before.counts.delivery_ratio
    if new is None:
        return [Change("note", "No window of the last 24 hours has a ratio.")]
    if old is None:
        return [
            Change(
                "note",
                f"In the last 24 hours {words.percent(new)} was delivered. No window of the 24 "
                "hours before has a ratio to compare with.",
            )
        ]
    found = [
        _overall(after, before, new, old),
        *_side(days),
        *_coverage_changes(days),
        *_group_changes(days, Dimension.PLATFORM, asked),
        *_group_changes(days, Dimension.APP_VERSION, asked),
        *_channel_changes(days, asked),
    ]
    if len(found) == 1:
        said = (
            "The problems above were found by comparing more than these two days."
            if has_problems
            else "No platform, version or channel changed by more than chance explains."
        )
        found.append(Change("note", said))
    return found


def _overall(after: Totals, before: Totals, new: float, old: float) -> Change:
    verdict = compare(after.interval, before.interval)
    said = f"{words.percent(new)} was delivered, {words.percent(old)} the day before"
    if verdict is None:
        return Change(
            "note",
            f"{said}; there are too few receivers or channels to tell whether that is a change.",
        )
    if verdict.word is Word.CANNOT_TELL:
        return Change(
            "note", f"{said}: {words.points(new - old)} points, which may well be chance."
        )
    return Change(tone_of(verdict), f"{said}: {words.verdict(verdict)}.")


def _side(days: Days) -> list[Change]:
    """Not a change, but the side on which to look for the cause of the present losses."""
    said = sentence(suspects(days.after))
    return [Change("worse", said)] if said else []


def _coverage_changes(days: Days) -> list[Change]:
    found = []
    after, before = sum_of(days.after).counts, sum_of(days.before).counts
    known, known_before = known_share(after), known_share(before)
    if (
        known is not None
        and known_before is not None
        and abs(known - known_before) > _KNOWN_CHANGED
    ):
        fewer = known < known_before
        found.append(
            Change(
                "worse" if fewer else "better",
                f"{'More' if fewer else 'Fewer'} reports were lost: {words.percent(1 - known)} of "
                f"the pairs are unknown, {words.percent(1 - known_before)} the day before.",
            )
        )
    report = clusters(days.after, lambda one: one.figures.spreads.over_receivers.clusters)
    reported = clusters(days.before, lambda one: one.figures.spreads.over_receivers.clusters)
    if report and reported:
        new, old = sum(report) / len(report), sum(reported) / len(reported)
        if old and abs(new - old) / old > _RECEIVERS_CHANGED:
            found.append(
                Change(
                    "worse" if new < old else "better",
                    f"{words.count(new)} receivers reported in a window of {days.timeframe.name} "
                    f"on average, {words.count(old)} the day before.",
                )
            )
    return found


def _group_changes(days: Days, by: Dimension, asked: PageState) -> list[Change]:
    after, before = groups_of(days.after, by), groups_of(days.before, by)
    total = sum(totals.counts.expected for totals in after.values())
    found = []
    for value, totals in after.items():
        if value is None:
            continue
        told = []
        if value not in before:
            part = totals.counts.expected / total if total else 0.0
            if part >= _NEW_SHARE:
                told.append(
                    Change(
                        "note", f"is new, with {words.percent(part)} of the expected deliveries."
                    )
                )
        else:
            told = _judged(totals, before[value])
        found += [
            replace(
                one,
                href=address(narrow(asked, by, value)),
                link_text=f"{words.DIMENSIONS[by].capitalize()} {words.group(value)}",
            )
            for one in told
        ]
    return found


def _channel_changes(days: Days, asked: PageState) -> list[Change]:
    found = []
    for channel_id, before, after in days.moved:
        found += [
            replace(
                change,
                href=address(replace(asked, channel=channel_id)),
                link_text=texts.short_identifier(channel_id),
            )
            for change in _judged(after, before)
        ]
    return found


def _judged(after: Totals, before: Totals) -> list[Change]:
    """The change, as a sentence without its subject, which is a link."""
    verdict = compare(after.interval, before.interval)
    if verdict is None or verdict.word is Word.CANNOT_TELL:
        return []
    return [
        Change(
            tone_of(verdict),
            f"is {words.verdict(verdict)}: {words.percent(after.counts.delivery_ratio)}, "
            f"{words.percent(before.counts.delivery_ratio)} the day before.",
        )
    ]
