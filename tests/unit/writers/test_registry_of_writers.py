from lightning_dissect import writers
from lightning_dissect.writers import WRITERS, ReportWriter, default_writers
from tests.helpers.small_report import small_report


def test_every_writer_has_a_name_and_the_default_is_all_of_them():
    names = {"csv", "dashboard", "html", "json", "pictures", "tensorboard", "wandb"}
    assert names <= set(WRITERS)
    assert {type(WRITERS.resolve(name)) for name in names} == {type(writer) for writer in default_writers()}
    assert all(isinstance(writer, ReportWriter) for writer in default_writers())


def test_all_default_writers_take_a_report_without_loggers(tmp_path):
    for writer in default_writers():
        writer.write(small_report(tmp_path), [])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "descriptions.csv",
        "layers.csv",
        "neurons.csv",
        "pictures",
        "report.html",
        "reports",
    ]


def test_exported_names_exist():
    assert all(hasattr(writers, name) for name in writers.__all__)
