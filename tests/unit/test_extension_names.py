from dataclasses import dataclass, field

from lightning_dissect.extension_names import extension_names, form_of
from lightning_dissect.registry import Registry


@dataclass
class HTMLPaint:
    shade: str = "plain"
    pot: int = 1
    secret: str = field(default="", repr=False)
    mixed: int = field(default=0, init=False)


PAINTS = Registry("paint")
PAINTS.register("my paint")(HTMLPaint)


def test_a_name_comes_from_the_registration_or_the_class():
    other = Registry("other")
    assert extension_names(["my paint:dark"], [HTMLPaint("dark")], PAINTS) == ["my_paint"]
    assert extension_names([HTMLPaint()], [HTMLPaint()], PAINTS) == ["my_paint"]
    assert extension_names([HTMLPaint()], [HTMLPaint()], other) == ["html_paint"]


def test_those_of_one_name_are_told_apart_by_the_fields_that_differ():
    paints = [HTMLPaint("dark", 2), HTMLPaint("light red", 2, "x"), object()]
    assert extension_names(paints, paints, PAINTS) == ["my_paint_shade_dark", "my_paint_shade_light_red", "object"]
    assert extension_names(paints, paints, PAINTS, untold=["shade"])[:2] == ["my_paint", "my_paint"]


def test_a_form_holds_what_may_be_told():
    assert form_of(HTMLPaint("dark", 2, "x")) == "HTMLPaint(shade='dark', pot=2)"
    assert form_of(object()) == "object"
