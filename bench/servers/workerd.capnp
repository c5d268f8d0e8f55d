using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "main", worker = .answer) ],
  sockets = [ (name = "http", http = (), service = "main") ],
);

const answer :Workerd.Worker = (
  modules = [ (name = "worker", esModule = embed "workerd.js") ],
  compatibilityDate = "2026-01-01",
);
