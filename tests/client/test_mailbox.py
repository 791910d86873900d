"""The hand-over between the reading thread and the one that runs the cell."""

from __future__ import annotations

import threading

from kexec_magic.execution.mailbox import Mailbox


def test_all_that_waits_is_taken_at_once_oldest_first() -> None:
    mailbox: Mailbox[int] = Mailbox()
    for number in range(3):
        mailbox.put(number)
    assert mailbox.take(0) == [0, 1, 2]
    assert mailbox.take(0) == []


def test_a_full_mailbox_holds_the_reader_back_until_it_is_emptied() -> None:
    mailbox: Mailbox[str] = Mailbox(capacity=10)
    mailbox.put("first", size=8)
    second_is_in = threading.Event()

    def put() -> None:
        mailbox.put("second", size=8)
        second_is_in.set()

    threading.Thread(target=put, daemon=True).start()
    assert not second_is_in.wait(0.1)
    assert mailbox.take(0) == ["first"]
    assert second_is_in.wait(5)
    assert mailbox.take(0) == ["second"]


def test_one_item_always_fits_however_large() -> None:
    mailbox: Mailbox[str] = Mailbox(capacity=10)
    mailbox.put("huge", size=1000)
    assert mailbox.take(0) == ["huge"]


def test_closing_lets_a_reader_that_waits_go_on_and_keeps_nothing_more() -> None:
    mailbox: Mailbox[str] = Mailbox(capacity=1)
    mailbox.put("kept", size=1)
    reader = threading.Thread(target=mailbox.put, args=("dropped",), kwargs={"size": 1})
    reader.start()
    mailbox.close()
    reader.join(5)
    assert not reader.is_alive()
    assert mailbox.take(0) == ["kept"]
