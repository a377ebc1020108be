from lightning_dissect.encoders.recurrence import Recurrence


def verdicts(*cycles: tuple[int, int]) -> list[bool]:
    recurrence = Recurrence()
    seen = []
    for num_images, num_known in cycles:
        recurrence.start_cycle()
        recurrence.update(num_images, num_known)
        seen.append(recurrence.is_seen)
    return seen


def test_the_same_images_and_a_growing_probe_come_again() -> None:
    assert verdicts((100, 0), (100, 100), (100, 100)) == [True] * 3
    assert verdicts((4, 0), (100, 4), (100, 100)) == [True] * 3
    assert verdicts((100, 0), (50, 50)) == [True] * 2


def test_random_augmentation_does_not() -> None:
    assert verdicts((100, 0), (100, 0), (100, 49), (100, 50)) == [True, False, False, True]


def test_a_cycle_without_images_does_not_count() -> None:
    recurrence = Recurrence()
    for _ in range(3):
        recurrence.start_cycle()
    recurrence.update(10, 0)
    assert recurrence.is_seen
    recurrence.start_cycle()
    assert recurrence.is_seen
    recurrence.update(10, 0)
    assert not recurrence.is_seen


def test_without_cycles_all_is_worth_keeping() -> None:
    recurrence = Recurrence()
    recurrence.update(10, 0)
    assert recurrence.is_seen
