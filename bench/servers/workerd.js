export default {
  async fetch(request) {
    const event = await request.json();
    return Response.json({ ok: true, id: event.post.id, title: event.post.title, score: event.score });
  },
};
