from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from types import SimpleNamespace

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from gradclinic import plots
from gradclinic.measure import GradientProfile


@pytest.fixture
def ax():
    with mpl.rc_context():
        plots.use_style()
        figure, ax = plt.subplots()
        yield ax
        figure.canvas.draw()  # constrained layout must succeed
        plt.close(figure)


def names(n):
    return tuple(f"layer {i}" for i in range(1, n + 1))


def test_profiles_draws_the_values_it_is_given(ax):
    delta = np.array([1e-3, 1e-2, 0.0])
    assert plots.profiles({"net": GradientProfile(names(3), delta, delta)}, ax) is ax
    line = ax.get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(line.get_ydata()[:2], delta[:2])
    assert ax.get_yscale() == "log"
    np.testing.assert_array_equal(ax.get_lines()[1].get_xdata(), [3])  # the zero has its own marker
    assert ax.get_xlabel()
    assert ax.get_ylabel()


def test_an_ensemble_is_a_median_with_a_band(ax):
    delta = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 60.0]])
    plots.profiles({"nets": GradientProfile(names(2), delta, delta)}, ax, quantity="weight")
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), [3.0, 4.0])
    assert len(ax.collections) == 1
    with pytest.raises(ValueError, match="quantity: got 'norm'"):
        plots.profiles({}, ax, quantity="norm")


def test_stacked_factors_have_the_length_of_the_product(ax):
    plots.stacked_factors({"a": {"x": 0.1, "y": 0.5}, "b": {"x": 1.0, "y": 0.01}}, ax)
    assert sum(p.get_width() for p in ax.patches if abs(p.get_y() + 0.4) < 0.01) == pytest.approx(-np.log10(0.05))
    with pytest.raises(ValueError, match=r"got x = 2.0"):
        plots.stacked_factors({"a": {"x": 2.0}}, ax)


def test_heatmap_holds_the_values(ax):
    x, y = np.linspace(0, 1, 4), np.linspace(0, 2, 3)
    values = np.outer(y, x)
    plots.heatmap(x, y, values, ax, contour=1.0, label="v")
    np.testing.assert_allclose(ax.collections[0].get_array().reshape(3, 4), values)


def luminance(color: str) -> float:
    """Relative luminance of WCAG 2.2: of the linear components, white is 1."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_colours_differ_in_grey():
    levels = sorted(luminance(c) for c in (plots.BLUE, plots.VERMILION, plots.ORANGE))
    assert np.diff(levels).min() > 0.03


def test_the_style_sheet_has_the_colours_of_the_module_and_words_that_can_be_read():
    style = mpl.rc_params_from_file(str(files("gradclinic") / "gradclinic.mplstyle"), use_default_template=False)
    named = [plots.BLUE, plots.VERMILION, plots.GREEN, plots.PURPLE, plots.ORANGE, plots.SKY, plots.BLACK]
    assert [to_rgb(entry["color"]) for entry in style["axes.prop_cycle"]] == [to_rgb(color) for color in named]
    assert style["figure.facecolor"] == style["savefig.facecolor"] == "white"
    for name in ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"):
        assert 1.05 / (luminance(f"#{style[name]}".replace("##", "#")) + 0.05) > 7, name
    assert min(style[name] for name in ("font.size", "legend.fontsize", "xtick.labelsize", "ytick.labelsize")) >= 10


NOTEBOOK = """
from base64 import b64decode
from io import BytesIO
import ipykernel
import matplotlib.pyplot as plt
from IPython.core.interactiveshell import InteractiveShell
from gradclinic import plots

shell = InteractiveShell.instance()
plots.use_style()
figure, _ = plt.subplots(figsize=(4, 2))
data, about = shell.display_formatter.format(figure, include=["image/png"])
dots = plt.imread(BytesIO(b64decode(data["image/png"]))).shape[1]
print(about["image/png"]["width"], dots)
"""


def test_in_a_notebook_a_figure_has_two_dots_for_each_pixel():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, check=True)
    width, dots = map(int, done.stdout.split())
    assert 380 < width < 420  # four inches, cut to what is drawn
    assert dots // 2 == width


@pytest.mark.parametrize("backward", [False, True])
def test_network_draws_every_weight_once_and_points_the_right_way(ax, backward):
    weights = [np.array([[1.0, -2.0], [0.5, 1.0], [1.0, 1.0]]), np.array([[4.0, -1.0, 2.0]])]
    plots.network([["a", "b"], ["c", "d", "e"], ["f"]], weights, ax, backward=backward)
    arrows = [t for t in ax.texts if getattr(t, "arrow_patch", None) is not None]
    assert len(arrows) == 9
    assert all((arrow.xy[0] < arrow.xyann[0]) == backward for arrow in arrows)
    assert max(arrow.arrow_patch.get_linewidth() for arrow in arrows) == pytest.approx(3.0)
    assert sum(arrow.arrow_patch.get_edgecolor()[:3] == to_rgb(plots.VERMILION) for arrow in arrows) == 2
    assert [t.get_text() for t in ax.texts if t not in arrows] == list("abcdef")


def test_network_refuses_labels_that_do_not_fit(ax):
    with pytest.raises(ValueError, match=r"weights: got shapes \[\(2, 3\)\], wanted \[\(3, 2\)\]"):
        plots.network([["a", "b"], ["c", "d", "e"]], [np.ones((2, 3))], ax)


def test_heat_table_says_its_values_in_text_and_colour(ax):
    values = np.array([[0.0, 0.5], [1.0, 2.0]])
    plots.heat_table(values, ["a", "b"], ["x", "y"], ax, vmin=0, vmax=1)
    assert [t.get_text() for t in ax.texts] == ["0", "0.5", "1", "2"]
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0, 0.5], [1, 1]])
    assert ax.texts[0].get_color() == "white"
    assert ax.texts[2].get_color() == "black"
    with pytest.raises(ValueError, match=r"values: got shape \(2, 2\), wanted \(3, 2\)"):
        plots.heat_table(values, ["a", "b", "c"], ["x", "y"], ax, vmin=0, vmax=1)


def run_of(steps, values):
    return SimpleNamespace(steps=np.array(steps), accuracy=np.array(values), loss=10 * np.array(values))


def test_curves_are_medians_with_a_band_from_lowest_to_highest(ax):
    run = run_of([0, 1, 100], [[0.1, 0.2, 0.1], [0.3, 0.5, 0.1], [0.9, 0.8, 0.2]])
    assert plots.curves({"plain": run, "treated": run}, ax) is ax
    plain, treated = ax.get_lines()[:2]
    np.testing.assert_array_equal(plain.get_xdata(), [0, 1, 100])
    np.testing.assert_array_equal(plain.get_ydata(), [0.1, 0.3, 0.8])
    assert plain.get_linestyle() != treated.get_linestyle()
    assert plain.get_marker() != treated.get_marker()
    corners = ax.collections[0].get_paths()[0].vertices
    assert {(100.0, 0.2), (100.0, 0.9)} <= {tuple(corner) for corner in corners}
    assert ax.get_ylim() == (0, 1)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["plain", "treated"]


def test_curves_of_the_loss_end_where_most_seeds_have_none(ax):
    run = run_of([0, 1, 2], [[1.0, 2.0, 3.0], [np.nan, 2.0, 3.0], [np.nan, np.nan, np.nan]])
    plots.curves({"plain": run}, ax, quantity="loss")
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), [20.0, np.nan, np.nan])
    assert ax.get_yscale() == "log"
    with pytest.raises(ValueError, match="quantity: got 'norm'"):
        plots.curves({"plain": run}, ax, quantity="norm")


def test_every_point_has_its_name_and_no_name_covers_another(ax):
    ax.set(xscale="log", yscale="log", xlim=(1, 100), ylim=(1, 1000))
    points = [(2.0, 10.0, "a"), (2.1, 10.1, "b"), (50.0, 10.2, "c"), (3.0, 990.0, "d"), (4.0, 991.0, "e")]
    assert plots.named_points(points, ax, gap=0.1) is ax
    texts = {text.get_text(): text for text in ax.texts}
    assert set(texts) == set("abcde")
    heights = [texts[name].get_position()[1] for name in "abcde"]
    assert np.diff(heights).min() >= 0.1 - 1e-12
    assert max(heights) <= 1
    assert all(texts[name].xy == (x, y) for x, y, name in points)
    with pytest.raises(ValueError, match=r"gap: got 0\.3 for 5 names, wanted at most 0\.250"):
        plots.named_points(points, ax, gap=0.3)
