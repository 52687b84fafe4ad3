"""stub"""
from polars import col
from impray.figures import Figure, Panel, Paper, command, dots
from impray.results import quantities as q
PAPER = Paper(name="elesedy2020", title="Elesedy", figures=[Figure(name="elesedy2020_a", title="a", question="b", panels=[Panel(of=q.quantity("exact_recovery"), mark=dots)])], setting={"a":"b"}, whole=False)
if __name__ == "__main__":
    command.run(PAPER, __doc__)
