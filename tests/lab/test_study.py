import sys

from facegender.lab.study import study_command


def test_a_command_names_what_was_asked_and_no_path(monkeypatch):
    given = ["/home/me/studies/robustness/prints.py", "/data/a b.tar", "--count", "20", "--output", "/x/y.csv"]
    monkeypatch.setattr(sys, "argv", given)
    assert study_command() == "python studies/robustness/prints.py 'a b.tar' --count 20"
    monkeypatch.setattr(sys, "argv", ["studies/speed/faceless.py", "--output=y.csv", "--repeats=3"])
    assert study_command() == "python studies/speed/faceless.py --repeats=3"
