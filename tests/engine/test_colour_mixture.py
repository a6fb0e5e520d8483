import numpy as np

from engine.colour_mixture import fit_mixture, log_likelihood, quadratic_terms

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)


def speckled(*colours: tuple[int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = np.repeat(np.array(colours), 200, axis=0) + rng.normal(0, 6, (200 * len(colours), 3))
    return pixels.clip(0, 255).astype(np.uint8)


def test_colours_are_likeliest_under_the_mixture_that_was_made_of_them() -> None:
    of_two = fit_mixture(quadratic_terms(speckled(RED, BLUE)))
    of_one = fit_mixture(quadratic_terms(speckled(GREEN)))
    terms = quadratic_terms(np.array([RED, BLUE, GREEN], np.uint8))
    assert ((log_likelihood(terms, of_two) > log_likelihood(terms, of_one)) == [True, True, False]).all()


def test_one_pixel_and_one_colour_are_enough() -> None:
    for pixels in (np.array([RED], np.uint8), np.array([RED] * 300, np.uint8)):
        mixture = fit_mixture(quadratic_terms(pixels))
        near, far = log_likelihood(quadratic_terms(np.array([RED, BLUE], np.uint8)), mixture)
        assert np.isfinite(mixture).all() and near > far
