// Node socket.io, broadcasting with io.emit.
"use strict";
const http = require("http");
const { Server } = require("socket.io");
const { obey } = require("./publishing.js");

const server = http.createServer();
const io = new Server(server, { perMessageDeflate: false });
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () =>
  obey(server.address().port, (payload) => io.emit("m", JSON.parse(payload))),
);
