import pytest

from influence_lib.errors import InputError
from influence_lib.pretrain import METHODS, scaled_hyper
from influence_lib.pretrain.scaling import RULES


@pytest.mark.parametrize("method", METHODS)
def test_the_papers_scale_has_the_papers_values(method):
    assert scaled_hyper(method, 64, 50_000, 1000) == METHODS[method].DEFAULTS


def test_heads_keep_their_width_relative_to_the_representation():
    hyper = scaled_hyper("dino", 16, 50_000, 1000)
    assert [hyper[name] for name in ("projector_hidden", "projector_out", "prototypes")] == [512, 64, 1024]


def test_a_momentum_encoder_forgets_in_as_many_epochs():
    paper, ours = METHODS["byol"].DEFAULTS["base_tau"], scaled_hyper("byol", 64, 5000, 80)["base_tau"]
    assert paper ** (50_000 // 256) == pytest.approx(ours ** (5000 // 256))
    assert scaled_hyper("byol", 16, 5000, 80)["final_tau"] == 1
    moco = scaled_hyper("moco", 64, 5000, 80)
    assert (moco["base_tau"], moco["final_tau"]) == (0.99, 0.999)


def test_mocos_queue_holds_the_same_part_of_the_images_in_whole_batches():
    assert scaled_hyper("moco", 64, 5000, 80)["queue_size"] == 13 * 256  # 3,277 images
    assert scaled_hyper("moco", 64, 300, 80, batch_size=200)["queue_size"] == 200


def test_dino_warms_up_for_the_same_part_of_the_run():
    hyper = scaled_hyper("dino", 64, 50_000, 80)
    assert (hyper["warmup_teacher_epochs"], hyper["frozen_prototypes_epochs"]) == (4, 1)


def test_what_a_method_scales_is_one_of_its_hyper_parameters_by_a_rule_that_there_is():
    for method in METHODS.values():
        assert method.SCALED.keys() <= method.DEFAULTS.keys()
        assert set(method.SCALED.values()) <= RULES.keys()
        assert set(method.SHARES) <= method.DEFAULTS.keys()


@pytest.mark.parametrize("method", METHODS)
def test_rates_stay_but_for_those_of_methods_with_a_momentum_encoder(method):
    hyper, paper = scaled_hyper(method, 8, 5000, 125), METHODS[method].DEFAULTS
    steps = (5000 // 256) * 125 / (195 * 1000)
    momentum = method in ("byol", "moco", "dino")
    assert hyper["lr"] == pytest.approx(paper["lr"] * (steps**0.25 if momentum else 1))
    assert hyper["weight_decay"] == paper["weight_decay"]


def test_bad_input_is_named():
    with pytest.raises(InputError, match="method is 'magic'"):
        scaled_hyper("magic", 64, 5000, 80)
    with pytest.raises(InputError, match="n_images is 100, but it must be at least the batch size, 256"):
        scaled_hyper("byol", 64, 100, 80)
    for arguments, sentence in (
        (("byol", 64.0, 5000, 80), "width is 64.0"),
        (("byol", 64, 5000, 0), "epochs is 0"),
        (("byol", 64, "5000", 80), "n_images is '5000'"),
        (("byol", 64, 5000, 80, True), "batch_size is True"),
        (([], 64, 5000, 80), "method is "),
    ):
        with pytest.raises(InputError, match=sentence):
            scaled_hyper(*arguments)
