// Node ws, with the loop over its clients that its documentation shows.
"use strict";
const { WebSocketServer } = require("ws");
const { obey } = require("./publishing.js");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false }, () =>
  obey(server.address().port, (payload) => {
    for (const client of server.clients) client.send(payload);
  }),
);
