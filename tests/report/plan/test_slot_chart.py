from adaptwin.report.plan.slot_chart import choices_figure


def test_the_chosen_slots_are_marked_once_and_bad_ones_are_distinguished(plan) -> None:
    server = plan.servers[0]
    shown = {trace.name: list(trace.x) for trace in choices_figure(server).data if trace.name and trace.showlegend}
    assert shown["chosen"] == [str(server.server.max_loras)]
    assert shown["does not start"] == ["96"]
    assert shown["not ok"] == [str(choice.max_loras) for choice in server.choices if choice.verdict == "starved"]
