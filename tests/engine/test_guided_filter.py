import numpy as np

from engine.guided_filter import guided_coefficients


def test_fit_is_the_least_squares_solution_of_every_window() -> None:
    rng = np.random.default_rng(2)
    guide = rng.random((20, 24, 3)).astype(np.float32)
    target = rng.random((20, 24)).astype(np.float32)
    radius, epsilon = 2, 0.01
    answer = guided_coefficients(guide, target, radius, epsilon)
    fits = np.zeros((20, 24, 4))
    for y in range(4, 16):
        for x in range(4, 20):
            window = (slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1))
            colours = guide[window].reshape(-1, 3).astype(float)
            values = target[window].reshape(-1).astype(float)
            centred = colours - colours.mean(0)
            a = np.linalg.solve(
                centred.T @ centred / len(colours) + epsilon * np.eye(3),
                centred.T @ (values - values.mean()) / len(colours),
            )
            fits[y, x] = (*a, values.mean() - a @ colours.mean(0))
    for y in range(6, 14):
        for x in range(6, 18):
            expected = fits[y - radius : y + radius + 1, x - radius : x + radius + 1].mean((0, 1))
            assert np.allclose(answer[y, x], expected, atol=1e-3)


def test_constant_target_is_reproduced_everywhere() -> None:
    guide = np.random.default_rng(0).random((30, 40, 3)).astype(np.float32)
    for value in (0.0, 1.0):
        fit = guided_coefficients(guide, np.full((30, 40), value, np.float32), 3, 1e-3)
        assert np.allclose((fit[..., :3] * guide).sum(2) + fit[..., 3], value, atol=1e-4)
