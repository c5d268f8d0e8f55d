from showground.testing.playground import Playground


async def test_members_see_each_other_arrive_by_name(playground: Playground) -> None:
    app = await playground.install()
    post = app.post_of(await app.menu("New emoji chat"))
    async with post.viewer("Ada") as ada:
        await ada.sees("Here: 1")
        async with post.viewer("Grace") as grace:
            await ada.sees("Grace is here")
            await ada.sees("Here: 2")
            await grace.sees("Ada")
            await grace.sees("Here: 2")


async def test_everybody_reads_the_same_words_in_the_same_order(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("Here: 2")
        await grace.sees("Here: 2")
        await ada.press("Say 🎉")
        await grace.press("Say 🤔")
        await ada.press("Say 😎")
        await ada.sees("You: 😎")
        await grace.sees("Ada: 😎")
        assert [line[-1] for line in ada.text.splitlines() if line[-1:] in "🎉🤔😎" and ": " in line] == list("🎉🤔😎")
        assert [line[-1] for line in grace.text.splitlines() if line[-1:] in "🎉🤔😎" and ": " in line] == list(
            "🎉🤔😎"
        )
        assert "You: 🤔" in grace.text


async def test_a_stranger_has_a_name_too(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer():
        await ada.sees("guest ")
        assert "None" not in ada.text


async def test_nobody_flaps_when_presence_is_renewed(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("Here: 2")
        await grace.sees("Here: 2")
        for _ in range(3):
            await ada.tick()
            await grace.tick()
        assert "has left" not in ada.text + grace.text
        assert "Here: 2" in ada.text


async def test_a_member_who_loads_the_page_again_is_the_same_one(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("Here: 2")
        await grace.close()
        async with post.viewer("Grace") as again:
            await again.sees("Here: 2")
            await again.press("Say 🎉")
            await ada.sees("Grace: 🎉")
            assert "Here: 2" in ada.text
