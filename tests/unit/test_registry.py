import pytest

from lightning_dissect.registry import Registry


@pytest.fixture
def shapes() -> Registry[str]:
    registry = Registry[str]("shape")

    @registry.register("square")
    def square(size: str = "1") -> str:
        return f"square of {size}"

    return registry


def test_a_name_is_called_and_an_argument_follows_the_first_colon(shapes):
    assert shapes.resolve("square") == "square of 1"
    assert shapes.resolve("square:a:b") == "square of a:b"


def test_an_object_is_returned_unchanged(shapes):
    own = object()
    assert shapes.resolve(own) is own


def test_an_unknown_name_is_a_value_error_that_lists_the_known_ones(shapes):
    with pytest.raises(ValueError, match=r"Expected a shape or one of \['square'\] but got 'sqare'"):
        shapes.resolve("sqare")


@pytest.mark.parametrize(("name", "reason"), [("square", "free name"), ("a:b", "no colon")])
def test_taken_and_malformed_names_are_refused(shapes, name, reason):
    with pytest.raises(ValueError, match=reason):
        shapes.register(name)


def test_the_name_of_an_object_is_that_of_its_class():
    registry = Registry[object]("shape")
    registry.register("whole")(int)
    assert registry.name_of(3) == "whole"
    assert registry.name_of(3.5) is None


def test_iteration_and_membership(shapes):
    assert list(shapes) == ["square"]
    assert "square" in shapes
    assert "circle" not in shapes
