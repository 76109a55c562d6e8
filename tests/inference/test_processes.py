"""What holds a network in other processes: sent there, copied, forked."""

import copy
import multiprocessing
import os
import pickle
import signal

import numpy as np
import pytest

from facegender.inference.classifier import GenderClassifier
from facegender.inference.detector import OnnxDetector
from facegender.inference.pipeline import FaceAnalyzer


@pytest.fixture
def square():
    image = np.full((120, 150, 3), 60, np.uint8)
    image[50:100, 20:70] = (255, 0, 0)
    return image


@pytest.fixture
def analyzer(tiny_model, tiny_detector):
    return FaceAnalyzer(tiny_model, tiny_detector, min_face=20, max_pixels=10**6, min_confidence=0.7, threads=2)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_answer_the_same(copied, analyzer, square):
    other = copied(analyzer)
    assert other.analyze(square) == analyzer.analyze(square)
    assert (other.max_pixels, other.detector.min_face, other.classifier.min_confidence) == (10**6, 20, 0.7)
    for part in (analyzer.classifier, analyzer.detector):
        assert copied(part).card == part.card


def test_a_network_given_as_bytes_travels(tiny_model):
    from facegender.inference.runtime import Session

    session, crops = Session(tiny_model.read_bytes(), threads=1), np.zeros((2, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(session)).run(crops), session.run(crops))


def test_sent_to_a_new_process(analyzer, square):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(analyzer.analyze, (square,)) == analyzer.analyze(square)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("threads", [1, 2, 4, 8])
@pytest.mark.parametrize("used", [False, True])
def test_a_forked_process_ends_cleanly(threads, used, tiny_model, tiny_detector, square):
    classifier, detector = GenderClassifier(tiny_model, threads=threads), OnnxDetector(tiny_detector, threads=threads)
    crops = np.zeros((300, 64, 64, 3), np.uint8)
    expected = classifier.p_male(crops)
    # A process of its own, since a fork of the tests' own would end as they do.
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_end, args=(classifier, detector, crops if used else None, expected))
    child.start()
    child.join(60)
    if child.is_alive():
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    assert child.exitcode == 0
    np.testing.assert_array_equal(classifier.p_male(crops), expected)


def _end(classifier, detector, crops, expected):
    if crops is not None:
        np.testing.assert_array_equal(classifier.p_male(crops), expected)
    # What an interpreter does at its end, and multiprocessing leaves out.
    for holder in (classifier, detector):
        holder.__dict__.clear()
