"""ReactPy on Starlette: the counter and the grid, as its documentation shows."""

import sys

import uvicorn
from reactpy import component, hooks, html, use_location
from reactpy.backend.starlette import configure
from starlette.applications import Starlette

SIZE = 8


@component
def counter():
    n, set_n = hooks.use_state(0)
    return html.div(html.p(f"count {n}"), html.button({"on_click": lambda event: set_n(n + 1)}, "add"))


@component
def grid():
    cells, set_cells = hooks.use_state([0] * (SIZE * SIZE))

    def cell(index):
        return html.button(
            {
                "key": index,
                "aria-label": f"cell {index} {'red' if cells[index] else 'white'}",
                "style": {
                    "width": "28px",
                    "height": "28px",
                    "background_color": "#EB5757" if cells[index] else "#FFFFFF",
                },
                "on_click": lambda event: set_cells([1 - c if k == index else c for k, c in enumerate(cells)]),
            }
        )

    rows = [html.div({"key": y}, [cell(y * SIZE + x) for x in range(SIZE)]) for y in range(SIZE)]
    return html.div(rows)


@component
def root():
    return grid() if use_location().pathname.endswith("grid") else counter()


app = Starlette()
configure(app, root)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
