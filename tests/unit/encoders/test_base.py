from lightning_dissect.encoders import ENCODERS, AssembledEncoder, HFClipEncoder, ImageTextEncoder, OpenClipEncoder


def test_registered_names_take_an_argument() -> None:
    assert list(ENCODERS) == ["assembled", "hf_clip", "open_clip"]
    assert isinstance(ENCODERS.resolve("open_clip"), OpenClipEncoder)
    encoder = ENCODERS.resolve("open_clip:hf-hub:org/repo")
    assert isinstance(encoder, OpenClipEncoder)
    assert encoder.model == "hf-hub:org/repo"
    assert isinstance(ENCODERS.resolve("hf_clip:google/siglip-base-patch16-224"), HFClipEncoder)
    assert ENCODERS.resolve("assembled:lite0").tower == "lite0"


def test_a_plain_attribute_fulfils_the_protocol(counting_encoder: type) -> None:
    assert isinstance(counting_encoder(), ImageTextEncoder)
    assert isinstance(AssembledEncoder(), ImageTextEncoder)
