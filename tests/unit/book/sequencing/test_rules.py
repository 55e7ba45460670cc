"""One test for each numbered rule of each venue's module."""

from __future__ import annotations

import pytest

from marketprism.book.sequencing import RULES, Rule, binance_futures, binance_spot, deribit, okx
from marketprism.book.sequencing.machine import LAST_ID, LOST, SYNCED, Verdict, new_machine


def synced(module, last_id, *held):
    machine = new_machine()
    arguments = {binance_spot: (0, 0), binance_futures: (0, 0, 0), okx: (0, 0, 0), deribit: ()}[module]
    assert module.accept_snapshot(machine, last_id, *arguments)
    return machine


def spot(machine, U, u):
    return Verdict(binance_spot.on_update(machine, U, u))


def futures(machine, U, u, pu):
    return Verdict(binance_futures.on_update(machine, U, u, pu))


def on_okx(machine, seq, prev):
    return Verdict(okx.on_update(machine, seq, prev))


def on_deribit(machine, change, prev):
    return Verdict(deribit.on_update(machine, change, prev))


def test_spot_1_waits_for_the_snapshot():
    machine = new_machine()
    assert spot(machine, 1, 5) == Verdict.WAIT
    assert machine.tolist() == new_machine().tolist()


@pytest.mark.parametrize(("last_id", "accepted"), [(98, False), (99, False), (100, True), (105, True)])
def test_spot_2_snapshot_below_the_first_held_update_is_refused(last_id, accepted):
    machine = new_machine()
    assert binance_spot.accept_snapshot(machine, last_id, 1, 100) is accepted
    assert machine[SYNCED] == accepted


@pytest.mark.parametrize(
    ("U", "u", "verdict"),
    [(90, 99, "STALE"), (95, 100, "STALE"), (95, 101, "APPLY"), (101, 102, "APPLY"), (102, 103, "GAP")],
)
def test_spot_3_first_applied_update_spans_the_snapshot(U, u, verdict):
    assert spot(synced(binance_spot, 100), U, u) == Verdict[verdict]


def test_spot_4_book_takes_the_snapshot_id_unless_it_is_newer():
    machine = synced(binance_spot, 100)
    assert machine[LAST_ID] == 100
    assert not binance_spot.accept_snapshot(machine, 99, 0, 0)
    assert machine[LAST_ID] == 100
    assert binance_spot.accept_snapshot(machine, 150, 0, 0)
    assert machine[LAST_ID] == 150


def test_spot_5_older_and_equal_updates_are_ignored():
    machine = synced(binance_spot, 100)
    assert spot(machine, 101, 105) == Verdict.APPLY
    assert spot(machine, 101, 105) == Verdict.DUPLICATE
    assert spot(machine, 101, 104) == Verdict.STALE
    assert spot(machine, 103, 107) == Verdict.APPLY, "an overlap carries absolute quantities"


def test_spot_6_skipped_ids_are_a_gap():
    machine = synced(binance_spot, 100)
    spot(machine, 101, 105)
    assert spot(machine, 109, 110) == Verdict.GAP
    assert (machine[SYNCED], machine[LOST]) == (0, 3)
    assert spot(machine, 111, 112) == Verdict.WAIT


def test_spot_7_book_takes_the_update_id():
    machine = synced(binance_spot, 100)
    spot(machine, 101, 105)
    assert machine[LAST_ID] == 105


def test_futures_1_waits_for_the_snapshot():
    assert futures(new_machine(), 1, 5, 0) == Verdict.WAIT


@pytest.mark.parametrize(("last_id", "accepted"), [(80, False), (90, True), (95, False), (100, True), (120, True)])
def test_futures_2_snapshot_that_cannot_be_joined_is_refused(last_id, accepted):
    machine = new_machine()
    assert binance_futures.accept_snapshot(machine, last_id, 1, 100, 90) is accepted
    if accepted:
        assert not binance_futures.accept_snapshot(machine, last_id - 1, 0, 0, 0), "nor one older than the book"


def test_futures_3_updates_before_the_snapshot_are_dropped():
    assert futures(synced(binance_futures, 100), 90, 99, 80) == Verdict.STALE


@pytest.mark.parametrize(
    ("U", "u", "pu", "verdict"),
    [
        (90, 100, 80, "APPLY"),
        (95, 110, 80, "APPLY"),
        (100, 110, 99, "APPLY"),
        (105, 110, 100, "APPLY"),
        (101, 110, 99, "GAP"),
    ],
)
def test_futures_4_first_applied_update_spans_the_snapshot(U, u, pu, verdict):
    assert futures(synced(binance_futures, 100), U, u, pu) == Verdict[verdict]


def test_futures_5_pu_is_the_previous_u():
    machine = synced(binance_futures, 100)
    futures(machine, 95, 110, 80)
    assert futures(machine, 130, 140, 110) == Verdict.APPLY
    assert futures(machine, 141, 150, 139) == Verdict.GAP, "the spot rule would accept it"
    assert machine[SYNCED] == 0
    machine = synced(binance_futures, 100)
    futures(machine, 95, 110, 80)
    assert futures(machine, 130, 140, 125) == Verdict.GAP
    assert machine[LOST] == 15


def test_futures_6_applied_updates_are_dropped():
    machine = synced(binance_futures, 100)
    futures(machine, 95, 110, 80)
    assert futures(machine, 95, 110, 80) == Verdict.DUPLICATE
    assert futures(machine, 90, 105, 80) == Verdict.STALE


def test_okx_1_snapshot_starts_the_book():
    machine = synced(okx, 50)
    assert machine[LAST_ID] == 50
    assert okx.accept_snapshot(machine, 7, 0, 0, 0), "a new snapshot on the channel always counts"


def test_okx_2_previous_id_chain():
    machine = synced(okx, 50)
    assert on_okx(machine, 60, 50) == Verdict.APPLY
    assert on_okx(machine, 80, 70) == Verdict.GAP
    assert (machine[SYNCED], machine[LOST]) == (0, -1)
    assert on_okx(machine, 90, 80) == Verdict.WAIT


def test_okx_2_repeated_updates_are_dropped():
    machine = synced(okx, 50)
    on_okx(machine, 60, 50)
    on_okx(machine, 70, 60)
    assert on_okx(machine, 70, 60) == Verdict.DUPLICATE
    assert on_okx(machine, 60, 50) == Verdict.STALE


def test_okx_3_heartbeat():
    machine = synced(okx, 50)
    assert on_okx(machine, 50, 50) == Verdict.APPLY
    assert on_okx(machine, 55, 50) == Verdict.APPLY


def test_okx_4_maintenance_reset():
    machine = synced(okx, 50)
    assert on_okx(machine, 3, 50) == Verdict.RESET
    assert on_okx(machine, 5, 3) == Verdict.APPLY
    assert on_okx(machine, 1, 77) == Verdict.GAP


@pytest.mark.parametrize(
    ("last_id", "held", "accepted"), [(39, 1, False), (40, 1, True), (49, 2, False), (50, 2, True)]
)
def test_okx_5_rest_snapshot_reaches_the_second_held_event(last_id, held, accepted):
    assert okx.accept_snapshot(new_machine(), last_id, held, 40, 50) is accepted


def test_okx_6_events_in_the_snapshot_are_dropped():
    machine = synced(okx, 50)
    assert on_okx(machine, 45, 40) == Verdict.STALE
    assert on_okx(machine, 50, 45) == Verdict.STALE


def test_okx_7_first_event_spans_the_snapshot():
    assert on_okx(synced(okx, 50), 55, 45) == Verdict.APPLY
    assert on_okx(synced(okx, 50), 60, 55) == Verdict.GAP


def test_deribit_1_full_message_starts_the_book():
    machine = new_machine()
    assert on_deribit(machine, 5, 4) == Verdict.WAIT
    assert deribit.accept_snapshot(machine, 9)
    assert machine[LAST_ID] == 9


def test_deribit_2_previous_change_id_chain():
    machine = synced(deribit, 9)
    assert on_deribit(machine, 12, 9) == Verdict.APPLY
    assert on_deribit(machine, 20, 15) == Verdict.GAP
    assert (machine[SYNCED], machine[LOST]) == (0, -1)


def test_deribit_3_applied_changes_are_dropped():
    machine = synced(deribit, 9)
    on_deribit(machine, 12, 9)
    assert on_deribit(machine, 12, 9) == Verdict.DUPLICATE
    assert on_deribit(machine, 9, 5) == Verdict.STALE


def test_every_sequencing_name_has_a_rule():
    from typing import get_args

    from marketprism.core.instrument import Sequencing

    assert set(RULES) == set(get_args(Sequencing))
    assert RULES["none"] == Rule.NONE
