"""NiceGUI: the counter and the grid, as its documentation shows."""

import sys

from nicegui import ui

SIZE = 8


@ui.page("/counter")
def counter() -> None:
    n = 0

    def add() -> None:
        nonlocal n
        n += 1
        label.set_text(f"count {n}")

    label = ui.label("count 0")
    ui.button("add", on_click=add)


@ui.page("/grid")
def grid() -> None:
    def cell(index: int) -> None:
        red = False

        def draw() -> None:
            element.style(f"width:28px;height:28px;background-color:{'#EB5757' if red else '#FFFFFF'}")
            element.props(f'aria-label="cell {index} {"red" if red else "white"}"')

        def paint() -> None:
            nonlocal red
            red = not red
            draw()

        element = ui.element("button").on("click", paint)
        draw()

    for y in range(SIZE):
        with ui.row():
            for x in range(SIZE):
                cell(y * SIZE + x)


ui.run(host="127.0.0.1", port=int(sys.argv[1]), show=False, reload=False)
