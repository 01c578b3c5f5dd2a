"""Edges between channels: their sums equal those over single edges, bit by bit."""

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import Case, case
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import MAX_POOL
from numpy.typing import NDArray

from ann2sdnn.calibration.scales.edges import Edges
from ann2sdnn.calibration.scales.plan import ScaleOptions
from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.calibration.scales.problem import ScaleProblem
from ann2sdnn.graph.layers import input_channel_view, output_channel_view
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import Grid

Floats = NDArray[np.float64]


@st.composite
def runs_of_edges(draw: st.DrawFn) -> tuple[NDArray[np.int64], int]:
    """Runs of random steps and lengths over 12 positions, and the number of edges."""
    rows, end = [], 0
    for _ in range(draw(st.integers(1, 6))):
        steps = draw(st.sampled_from([(0, 1), (1, 0), (0, 0), (1, 1), (2, 1)]))
        length = draw(st.integers(1, 4))
        end += length
        first = [draw(st.integers(0, 11 - step * (length - 1))) for step in steps]
        rows.append([*first, *steps, end])
    return np.array(rows, np.int64), end


@settings(max_examples=60, deadline=None)
@given(drawn=runs_of_edges(), seed=st.integers(0, 1000))
def test_runs_add_up_like_single_edges(drawn: tuple[NDArray[np.int64], int], seed: int) -> None:
    runs, n_edges = drawn
    rng = np.random.default_rng(seed)
    edges = Edges(runs, rng.uniform(0, 1, n_edges), rng.normal(0, 1, n_edges))
    own, sent = rng.normal(0, 1, (2, 12))
    share = 2.0 ** rng.integers(-10, 1, 12)
    found = edges.terms(own, sent, share)
    noise, hinge, by_own, by_sent, largest = one_by_one(edges, own, sent, share)
    assert (found.noise, found.hinge) == (noise, hinge)
    np.testing.assert_array_equal(found.by_own, by_own)
    np.testing.assert_array_equal(found.by_sent, by_sent)
    np.testing.assert_allclose(edges.excess(own, sent), largest, atol=1e-12)


def one_by_one(
    edges: Edges, own: Floats, sent: Floats, share: Floats
) -> tuple[float, float, Floats, Floats, Floats]:
    """What ``terms`` and ``excess`` return, edge after edge."""
    own_gain, sent_gain = share * np.exp(-2 * own), np.exp(2 * sent)
    noise = hinge = 0.0
    by_own, by_sent, largest = np.zeros((2, 12)), np.zeros((2, 12)), np.full(12, -np.inf)
    begin = 0
    for o, i, o_step, i_step, end in edges.runs.tolist():
        for k in range(end - begin):
            to, of, at = o + k * o_step, i + k * i_step, begin + k
            energy = edges.noise[at] * own_gain[to] * sent_gain[of]
            noise += energy
            by_own[0, to] += energy
            by_sent[0, of] += energy
            excess = edges.log_largest[at] + own[to] - sent[of]
            largest[to] = max(largest[to], excess)
            if excess > 0:
                hinge += excess * excess
                by_own[1, to] += excess
                by_sent[1, of] += excess
        begin = end
    return noise, hinge, by_own, by_sent, largest


@pytest.fixture(scope="module", params=["max", "average"])
def measured(request: pytest.FixtureRequest) -> Case:
    """Convolutions in groups, transposed ones, pooling, with a dense layer for max pooling."""
    pool = MAX_POOL if request.param == "max" else Pool("average", (2, 2), (2, 2))
    return case(pool=pool, dense=request.param == "max")


def test_runs_are_the_weights_in_their_order(measured: Case) -> None:
    problem = ScaleProblem(measured.evidence, Grid(6), ScaleOptions())
    runs, begin, found = problem.edges.runs.tolist(), 0, []
    for o, i, o_step, i_step, end in runs:
        found += [(o + k * o_step, i + k * i_step) for k in range(end - begin)]
        begin = end
    expected: list[tuple[int, int]] = []
    for index, (layer, part) in enumerate(zip(measured.graph.layers, problem.slices, strict=True)):
        n_in = layer.input_shape[0]
        before = np.zeros(n_in) if index == 0 else np.arange(part.start - n_in, part.start)
        outs = output_channel_view(layer, np.arange(part.start, part.stop, dtype=np.float64))
        ins = input_channel_view(layer, before.astype(np.float64))
        shape = np.broadcast_shapes(outs.shape, ins.shape)
        pair = (np.broadcast_to(values, shape).ravel().tolist() for values in (outs, ins))
        expected += [(int(o), int(i)) for o, i in zip(*pair, strict=True)]
    assert found == expected
    assert len(runs) < len(found) / 2


def test_a_relay_takes_the_same_edges_with_less_noise(measured: Case) -> None:
    """Five more bits: 1/32 of the error, 1/1024 of its energy, in its own layer only."""
    plain = ScaleProblem(measured.evidence, Grid(6), ScaleOptions())
    relayed = ScaleProblem(measured.evidence, Grid(6), ScaleOptions(relays=(2,)), plain.edges)
    x = plain.start()
    before, after = plain.plan(x).noise.weight, relayed.plan(x).noise.weight
    assert after[2] == before[2] / 1024
    assert (np.delete(after, 2) == np.delete(before, 2)).all()


def test_few_steps_plan_a_large_network_as_well(
    measured: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small network planned as a large one, by a few steps in units of the noise."""
    plans = []
    for most in (10**6, 0):
        monkeypatch.setattr("ann2sdnn.calibration.scales.problem._MOST_EDGES", most)
        monkeypatch.setattr("ann2sdnn.calibration.scales.problem._MOST_VISITS", 1)
        plans.append(plan_range(measured.evidence, Grid(0), headroom=2.0, n_relays=2))
    usual, large = (plan.noise.relative_error for plan in plans)
    assert large < 1.05 * usual
    assert len(plans[1].relays) == 2


@pytest.mark.parametrize("free_shifts", [False, True])
def test_a_plan_gives_back_its_solution(measured: Case, *, free_shifts: bool) -> None:
    options = replace(ScaleOptions(), free_shifts=free_shifts)
    problem = ScaleProblem(measured.evidence, Grid(6), options)
    x = problem.best()
    np.testing.assert_allclose(problem.solution_of(problem.plan(x)), x, atol=1e-9)


def test_more_relays_begin_at_the_plan_without_them(measured: Case) -> None:
    begin = plan_range(measured.evidence, Grid(6), headroom=1.25)
    more = plan_range(measured.evidence, Grid(6), headroom=1.25, n_relays=1, begin=begin)
    afresh = plan_range(measured.evidence, Grid(6), headroom=1.25, n_relays=1)
    assert more.relays == afresh.relays
    assert more.relay_errors == pytest.approx(afresh.relay_errors, rel=1e-6)
