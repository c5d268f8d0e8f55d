from showground.testing.playground import Playground


async def test_a_reminder_comes_when_it_is_due_and_not_before(playground: Playground) -> None:
    app = await playground.install()
    asked = await app.menu("Remind me", as_="Ada", on="t3_1")
    answer = await asked.submit(minutes=10, note="Read this")
    assert answer.toasts == ["You will be reminded in 10 minutes"]
    ada = (await playground.member("Ada")).id
    async with app.listen("reminders") as listener:
        await playground.clock.advance(minutes=9)
        assert await app.redis.hgetall(f"reminders:{ada}") == {}
        await playground.clock.advance(minutes=1)
        assert await app.redis.hgetall(f"reminders:{ada}") == {"t3_1": "Read this"}
        assert await listener.next() == {"user": ada, "post": "t3_1", "note": "Read this"}


async def test_asking_again_moves_the_reminder(playground: Playground) -> None:
    app = await playground.install()
    for minutes in (10, 60):
        await (await app.menu("Remind me", as_="Ada", on="t3_1")).submit(minutes=minutes)
    assert len(await app.context.scheduler.list_jobs()) == 1
    await playground.clock.advance(minutes=11)
    ada = (await playground.member("Ada")).id
    assert await app.redis.hgetall(f"reminders:{ada}") == {}
    await playground.clock.advance(minutes=50)
    assert await app.redis.hgetall(f"reminders:{ada}") == {"t3_1": ""}


async def test_each_member_has_their_own(playground: Playground) -> None:
    app = await playground.install()
    for name in ("Ada", "Grace"):
        await (await app.menu("Remind me", as_=name, on="t3_1")).submit(minutes=1, note=name)
    await playground.clock.advance(minutes=1)
    for name in ("Ada", "Grace"):
        member = await playground.member(name)
        assert await app.redis.hget(f"reminders:{member.id}", "t3_1") == name
