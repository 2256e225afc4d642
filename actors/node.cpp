#include "actors/node.hpp"

#include "actors/guest_list.hpp"
#include "actors/peer_port.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/state_handle.hpp"
#include "actors/support/timer.hpp"
#include "node/certificate.hpp"
#include "node/credentials.hpp"
#include "node/door.hpp"
#include "node/greeting.hpp"
#include "node/peer_link.hpp"
#include "node/peer_roots.hpp"
#include "node/probe.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <utility>

namespace modelforge {

namespace {

using node::peer_link;
using time_point = node::time_point;

bool uses_tls(const node_settings& x) {
  return !x.tls.certificate.empty();
}

node_hello hello_of(const node_settings& x) {
  node_hello result;
  result.program = MODELFORGE_VERSION;
  result.cluster = x.cluster;
  result.node = x.name;
  return result;
}

node::link_settings link_settings_of(const node_settings& x) {
  return node::link_settings_for(x.timeout);
}

/// What a peer's message may have at most: what it is asked to keep to, and room for peers with other settings.
uint64_t max_message_of(const node_settings& x) {
  return std::max<uint64_t>(64u << 20, 2 * x.max_message_bytes);
}

/// Calls `f`. What it throws (a bug, or no memory) costs what was to be done, and not the node, on which all links
/// hang.
template <class F>
void safely(F f) {
  try {
    f();
  } catch (const std::exception&) { // a link that makes no progress is tried again, a provider looked for
  }
}

/// Likewise, for what is answered.
template <class T, class F>
caf::result<T> guarded(F f) {
  try {
    return f();
  } catch (const std::exception& x) {
    return caf::make_error(
      errc::internal,
      make_failure(errc::internal, std::string{"an unexpected exception: "} + x.what(), "please report this"));
  }
}

/// The way to one of the configured peers.
struct link {
  link(node::address at, const node::link_settings& how, time_point now) : at(std::move(at)), machine(how, now) {}

  node::address at;
  peer_link machine;
  std::unique_ptr<node::probe> probe;
  std::shared_ptr<node::connection> connection; ///< That CAF is to have next.
  node_actor root;
  std::string name; ///< The peer's, once it has told.
};

peer_status status_of(const link& x, time_point now) {
  peer_status result;
  result.name = x.name;
  result.address = node::to_string(x.at);
  result.up = x.machine.current() == peer_link::state::up;
  result.problem = x.machine.problem();
  result.since = now - x.machine.since();
  return result;
}

/// Why no link leads to the node of that name, as far as is known.
std::string why_not(const std::vector<std::unique_ptr<link>>& links, const std::string& owner) {
  std::string result;
  for (auto& x : links)
    if (x->name == owner || x->name.empty())
      if (!x->machine.problem().empty())
        result += (result.empty() ? "" : "; ") + node::to_string(x->at) + ": " + x->machine.problem();
  return result;
}

std::string unused_files(const node::credentials* tls) {
  auto problem = tls != nullptr ? tls->problem() : "";
  return problem.empty() ? "" : " (this node's own files have changed and cannot be used: " + problem + ")";
}

std::string link_problem(const caf::error& why, const node::credentials* tls) {
  return std::string{"something listens there, but no link came about ("} + to_string(why) + "); "
         + (tls != nullptr
              ? "it must be a node with a certificate of the same authority (`ca` in [node.tls])" + unused_files(tls)
              : "it must be a node without [node.tls], as this one, of the same version of ModelForge");
}

/// Carries out what `peer_link` decides for each configured peer, lets in those who connect, and finds the owners of
/// remote providers for their proxies.
///
/// A link is probed, connected, greeted, and then up; its peer's actor (its root) is watched, and whoever greets by a
/// name that is taken, or that its certificate does not have, is refused.
class node_state {
public:
  static inline const char* name = "node";

  node_state(node_actor::pointer self, const node_settings& settings, std::shared_ptr<node::credentials> tls)
    : self_(self), settings_(settings), hello_(hello_of(settings)), tls_(std::move(tls)),
      carrier_(carrier_of(self->system())),
      callers_(self, [this](const caf::actor_addr& who, const caf::error&) { safely([&] { on_death(who); }); }),
      keep_(caf::actor_cast<caf::strong_actor_ptr>(self)), guests_(settings),
      timer_(self, [this] { safely([&] { serve(); }); }) {
    for (auto& peer : settings.peers)
      links_.push_back(std::make_unique<link>(*node::parse_address(peer), link_settings_of(settings), now()));
    self->set_exit_handler([this](caf::exit_msg&) { leave(); });
  }

  node_actor::behavior_type make_behavior() {
    here().run([](node_state& state) { safely([&] { state.serve(); }); });
    return {
      [this](const node_hello& hello) { return guarded<node_hello>([&] { return greet(hello); }); },
      [this](const node_hello& hello, const caf::actor& back) {
        return guarded<node_hello>([&] { return greet_back(hello, back); });
      },
      [this](caf::get_atom, const node_hello& hello, const std::string& provider) {
        return guarded<provider_actor>([&] { return find(hello, provider); });
      },
      [this](status_atom) { return guarded<node_status>([&] { return caf::result<node_status>{status()}; }); },
    };
  }

  void listen_at(std::string where, std::unique_ptr<node::door> door) { port_ = {std::move(where), std::move(door)}; }

  void set_owned(std::vector<owned_provider> x) {
    for (auto& waiting : guests_.set_owned(std::move(x)))
      answer(std::move(waiting));
  }

  void add_remote(remote_provider x) {
    auto name = x.name;
    auto owner = x.owner;
    remotes_.insert_or_assign(name, std::move(x));
    find_again(name);
  }

  void remove_remote(const std::string& name) { remotes_.erase(name); }

  /// Asks the owner for its provider, if there is a link.
  void find_again(const std::string& name) {
    auto i = remotes_.find(name);
    if (i == remotes_.end())
      return;
    auto& x = i->second;
    auto* peer = peers_.find(x.owner);
    if (peer == nullptr)
      return x.proxy.disconnect(why_not(links_, x.owner));
    auto is_asked = [this, owner = x.owner, asked = *peer] { return root_of(owner) == asked; }; // still
    ask(self_, *peer, caf::get_atom_v, hello_, name)
      .then(
        [this, is_asked, proxy = x.proxy, owner = peer->node()](const provider_actor& found) {
          safely([&] {
            if (!is_asked())
              return;
            if (found == nullptr
                || found.node() != owner) // who is asked for could be anybody, this node's own proxy too
              proxy.refuse(make_failure(errc::invalid_response, "the node names another one's actor as its provider"));
            else
              proxy.connect({found, gates_.gate_to(owner)});
          });
        },
        [is_asked, proxy = x.proxy](const caf::error& why) {
          safely([&] {
            if (is_asked() && why.category() == caf::type_id_v<errc>) // else the link broke meanwhile
              proxy.refuse(failure_of(why));
          });
        });
  }

private:
  time_point now() const { return self_->clock().now(); }

  state_handle<node_state> here() { return {caf::actor_cast<caf::weak_actor_ptr>(self_), this}; }

  bool has_left() const { return keep_ == nullptr; }

  // -- what others ask ---------------------------------------------------------------

  std::optional<caf::error> refuse_misfit(const node_hello& x) const {
    auto why = node::misfit(hello_, x);
    if (!why)
      return {};
    return caf::make_error(errc::configuration, make_failure(errc::configuration, *why));
  }

  caf::result<node_hello> greet(const node_hello& x) const {
    if (auto no = refuse_misfit(x))
      return std::move(*no);
    return hello_;
  }

  /// Goes on with `then` and the reason why whoever calls himself `name`, at the program `from`, is not to be believed;
  /// empty: he is. At once where that is known, else when the connection's certificate has been looked at.
  template <class F>
  void identify(const std::string& name, const caf::node_id& from, F then) {
    if (auto* known = peers_.find(name))
      return then(known->node() == from ? std::nullopt : std::optional{node::taken(name, settings_.name)});
    if (tls_ == nullptr || !settings_.tls.verify_names)
      return then(std::nullopt);
    ask(self_, carrier_, caf::get_atom_v, from)
      .then(
        [this, name, from, then](const caf::node_id&, const std::string& label, uint16_t) mutable {
          safely([&] { then(why_not_called(name, from, names_in(label))); });
        },
        [then](const caf::error&) mutable { safely([&] { then(std::optional<std::string>{"the link broke"}); }); });
  }

  /// Likewise, by the names in its certificate.
  std::optional<std::string> why_not_called(const std::string& name, const caf::node_id& from,
                                            const std::vector<std::string>& names) const {
    if (!node::may_be_called(names, name))
      return node::impostor(name, names, settings_.name);
    auto* known = peers_.find(name); // another one may have come meanwhile
    return known == nullptr || known->node() == from ? std::nullopt : std::optional{node::taken(name, settings_.name)};
  }

  /// The program that the message in hand comes from.
  caf::node_id origin() const {
    auto& from = self_->current_sender();
    return from != nullptr ? from->node() : caf::node_id{};
  }

  static caf::error refusal(const std::string& why) {
    return caf::make_error(errc::configuration, make_failure(errc::configuration, why));
  }

  caf::result<node_hello> greet_back(const node_hello& x, const caf::actor& back) {
    if (auto no = refuse_misfit(x))
      return std::move(*no);
    auto from = origin();
    if (back == nullptr || back.node() != from)
      return refusal("node \"" + x.node + "\" greets for another program");
    auto reply = self_->make_response_promise<node_hello>(); // takes the sender away
    identify(x.node, from, [this, reply, back, name = x.node](std::optional<std::string> why) mutable {
      if (why)
        return reply.deliver(refusal(*why));
      add_root(name, caf::actor_cast<node_actor>(back), false);
      reply.deliver(hello_);
    });
    return reply;
  }

  caf::result<provider_actor> find(const node_hello& x, const std::string& name) {
    if (auto no = refuse_misfit(x))
      return std::move(*no);
    auto asker = self_->current_sender();
    if (asker == nullptr)
      return refusal("nobody asks");
    auto where = origin();
    auto reply = self_->make_response_promise<provider_actor>(); // takes the sender away
    identify(x.node, where, [this, reply, asker, guest = x.node, name](std::optional<std::string> why) mutable {
      if (why)
        return reply.deliver(refusal(*why));
      answer({name, guest, asker, reply});
    });
    return reply;
  }

  void answer(guest_list::question question) {
    if (auto guest = guests_.answer(self_->system(), std::move(question), gates_))
      callers_.add(caf::actor_cast<caf::strong_actor_ptr>(guest));
  }

  node_status status() const {
    node_status x;
    x.name = settings_.name;
    x.cluster = settings_.cluster;
    x.listening = port_.address;
    x.tls = uses_tls(settings_);
    std::set<std::string> told;
    for (auto& one : links_) {
      told.insert(one->name);
      x.peers.push_back(status_of(*one, now()));
    }
    peers_.for_each([&](const std::string& name) {
      if (told.count(name) == 0)
        x.peers.push_back({name, "", true, "", {}});
    });
    return x;
  }

  // -- the others ---------------------------------------------------------------------

  /// By this actor the peer can be reached from now on.
  void add_root(const std::string& name, const node_actor& root, bool configured) {
    auto before = root_of(name);
    if (peers_.add(name, root, configured))
      callers_.add(caf::actor_cast<caf::strong_actor_ptr>(root));
    if (root_of(name) != before)
      find_all_of(name);
  }

  node_actor root_of(const std::string& name) const {
    auto* root = peers_.find(name);
    return root != nullptr ? *root : node_actor{};
  }

  void find_all_of(const std::string& owner) {
    for (auto& [provider, x] : remotes_)
      if (x.owner == owner)
        find_again(provider);
  }

  void on_death(const caf::actor_addr& who) {
    for (auto& x : links_)
      if (x->root != nullptr && caf::actor_cast<caf::actor_addr>(x->root) == who) {
        x->root = nullptr;
        x->machine.fail("the link broke", now(), random_);
      }
    guests_.remove(who);
    lose_root(who);
    serve();
  }

  /// Another one that greeted by the same name takes its place, if there is one.
  void lose_root(const caf::actor_addr& who) {
    for (auto& owner : peers_.remove(who))
      for (auto& [provider, x] : remotes_)
        if (x.owner == owner && peers_.find(owner) == nullptr)
          x.proxy.disconnect("the link to it broke");
        else if (x.owner == owner)
          find_again(provider);
  }

  // -- links that we make ---------------------------------------------------------------

  void serve() {
    if (has_left())
      return;
    auto at = now();
    std::optional<time_point> next;
    for (auto& x : links_) {
      while (auto step = x->machine.next(at, random_))
        begin(*x, *step);
      if (x->machine.current() == peer_link::state::waiting) // also where a step took too long
        drop_root(*x);
      if (auto due = x->machine.wake_at(); due && (!next || *due < *next))
        next = due;
    }
    timer_.arm(next);
  }

  void begin(link& x, peer_link::state step) {
    auto attempt = x.machine.attempt();
    switch (step) {
      case peer_link::state::probing:
        x.connection.reset();
        x.probe = std::make_unique<node::probe>(
          x.at, tls_, std::chrono::duration_cast<std::chrono::milliseconds>(link_settings_of(settings_).step) * 9 / 10,
          [to = here(), &x, attempt](node::probe::result found) {
            to.run([&x, attempt, found = std::move(found)](node_state& state) {
              safely([&] { state.on_probe(x, attempt, found); });
            });
          });
        break;
      case peer_link::state::connecting:
        ask(self_, carrier_, caf::connect_atom_v,
            scribe_of(self_->system(), std::exchange(x.connection, nullptr), max_message_of(settings_)), x.at.port)
          .then([this, &x, attempt](
                  const caf::node_id&, const caf::strong_actor_ptr& root,
                  const std::set<std::string>& interface) { safely([&] { on_link(x, attempt, root, interface); }); },
                [this, &x, attempt](const caf::error& why) {
                  safely([&] { on_failure(x, attempt, link_problem(why, tls_.get())); });
                });
        break;
      case peer_link::state::greeting:
        // Who is not to be believed does not learn of us: first we ask who it is.
        ask(self_, x.root, hello_)
          .then([this, &x, attempt](const node_hello& theirs) { safely([&] { on_hello(x, attempt, theirs); }); },
                [this, &x, attempt](const caf::error& why) {
                  safely([&] { on_failure(x, attempt, failure_of(why).message); });
                });
        break;
      default:
        break;
    }
  }

  void on_probe(link& x, uint64_t attempt, const node::probe::result& found) {
    if (attempt != x.machine.attempt())
      return;
    if (!found.problem.empty())
      return on_failure(x, attempt, found.problem + unused_files(tls_.get()));
    x.connection = found.is;
    x.machine.advance(now());
    serve();
  }

  void on_link(link& x, uint64_t attempt, const caf::strong_actor_ptr& root, const std::set<std::string>& interface) {
    if (attempt != x.machine.attempt())
      return;
    // the one call that is there in every version
    static const auto wanted = self_->system().message_types<caf::typed_actor<caf::result<node_hello>(node_hello)>>();
    if (root == nullptr || !std::includes(interface.begin(), interface.end(), wanted.begin(), wanted.end()))
      return on_failure(x, attempt, "what listens there is no node of ModelForge");
    x.root = caf::actor_cast<node_actor>(root);
    callers_.add(root); // it may be lost before it is greeted
    x.machine.advance(now());
    serve();
  }

  void on_hello(link& x, uint64_t attempt, const node_hello& theirs) {
    if (attempt != x.machine.attempt())
      return;
    if (auto why = node::misfit(hello_, theirs))
      return on_failure(x, attempt, *why);
    identify(theirs.node, x.root.node(), [this, &x, attempt, name = theirs.node](std::optional<std::string> why) {
      if (has_left() || attempt != x.machine.attempt())
        return;
      if (why)
        return on_failure(x, attempt, *why);
      x.name = name;
      ask(self_, x.root, hello_, caf::actor_cast<caf::actor>(self_))
        .then([this, &x, attempt](const node_hello& again) { safely([&] { on_welcome(x, attempt, again); }); },
              [this, &x, attempt](const caf::error& no) {
                safely([&] { on_failure(x, attempt, failure_of(no).message); });
              });
    });
  }

  void on_welcome(link& x, uint64_t attempt, const node_hello& theirs) {
    if (has_left() || attempt != x.machine.attempt())
      return;
    if (auto* known = peers_.find(x.name);
        theirs.node != x.name || (known != nullptr && known->node() != x.root.node()))
      return on_failure(x, attempt, node::taken(theirs.node, settings_.name));
    x.machine.advance(now());
    add_root(x.name, x.root, true);
    serve();
  }

  void on_failure(link& x, uint64_t attempt, std::string why) {
    if (attempt != x.machine.attempt())
      return;
    drop_root(x);
    x.machine.fail(std::move(why), now(), random_);
    for (auto& [provider, remote] : remotes_) // those who wait for it hear of it
      if (peers_.find(remote.owner) == nullptr)
        remote.proxy.disconnect(why_not(links_, remote.owner));
    serve();
  }

  void drop_root(link& x) {
    if (x.root != nullptr)
      callers_.remove(caf::actor_cast<caf::actor_addr>(std::exchange(x.root, nullptr)));
  }

  void leave() {
    for (auto& [name, x] : remotes_)
      safely([&proxy = x.proxy] { proxy.disconnect("the program is shutting down"); });
    links_.clear();
    guests_.clear();
    port_.door.reset();
    keep_ = nullptr;
    self_->quit();
  }

  /// The port that this node listens at.
  struct open_port {
    std::string address; ///< HOST:PORT; empty: none is open.
    std::unique_ptr<node::door> door;
  };

  node_actor::pointer self_;
  node_settings settings_;
  node_hello hello_;
  std::shared_ptr<node::credentials> tls_; ///< Null: in the clear.
  caf::actor carrier_;
  open_port port_;
  callers<std::remove_pointer_t<node_actor::pointer>> callers_;
  caf::strong_actor_ptr keep_; ///< Itself, until `leave`.
  std::mt19937_64 random_{std::random_device{}()};
  std::vector<std::unique_ptr<link>> links_;
  node::peer_roots<node_actor> peers_; ///< Those that can be reached.
  guest_list guests_;
  link_gates gates_;
  std::map<std::string, remote_provider> remotes_;
  timer timer_;
};

/// Opens the port; a failure says why that cannot be.
std::variant<std::unique_ptr<node::door>, failure> publish(const node_actor& x, const node_settings& how,
                                                           std::shared_ptr<node::credentials> tls) {
  node::door::options options;
  options.at = *node::parse_address(how.listen);
  options.tls = std::move(tls);
  options.waiting.patience = std::clamp<duration>(how.timeout, std::chrono::seconds{1}, std::chrono::seconds{10});
  auto opened = publish_at(x.home_system(), std::move(options), caf::actor_cast<caf::strong_actor_ptr>(x),
                           x.home_system().message_types<node_actor>(), max_message_of(how));
  if (auto* why = std::get_if<std::string>(&opened))
    return make_failure(errc::configuration, "cannot listen on " + how.listen + ": " + *why,
                        "choose another address for `listen` in [node], or end what uses it");
  return std::get<0>(std::move(opened));
}

} // namespace

std::variant<node_control, failure> spawn_node(caf::actor_system& system, const node_settings& x) {
  if (!system.has_middleman())
    return make_failure(errc::configuration, "this actor system cannot reach other nodes",
                        "call apply(settings, config) before the actor system is made");
  std::shared_ptr<node::credentials> tls;
  if (uses_tls(x)) {
    std::vector<std::string> names;
    if (x.tls.verify_names)
      names.push_back(x.name);
    auto read = node::credentials::load({x.tls.certificate, x.tls.key, x.tls.ca}, names);
    if (auto* problem = std::get_if<std::string>(&read))
      return make_failure(errc::configuration, *problem, "script/certs makes files for a try-out");
    tls = std::get<0>(std::move(read));
  }
  node_control result;
  result.settings = x;
  result.actor = system.spawn<node_actor::stateful_impl<node_state>>(x, tls);
  auto state = state_of<node_state>(result.actor);
  auto run = [state](auto f) { state.run([f = std::move(f)](node_state& self) mutable { safely([&] { f(self); }); }); };
  if (!x.listen.empty()) {
    auto opened = publish(result.actor, x, tls);
    if (auto* problem = std::get_if<failure>(&opened)) {
      caf::anon_send_exit(result.actor, caf::exit_reason::user_shutdown);
      return std::move(*problem);
    }
    auto at = *node::parse_address(x.listen);
    auto door = std::make_shared<std::unique_ptr<node::door>>(std::get<0>(std::move(opened)));
    at.port = (*door)->port();
    result.listening = node::to_string(at);
    run([where = result.listening, door](node_state& y) { y.listen_at(where, std::move(*door)); });
  }
  result.renew_credentials = [tls]() -> std::optional<failure> {
    auto problem = tls != nullptr ? tls->reload() : std::nullopt;
    if (!problem)
      return {};
    return make_failure(errc::configuration, *problem, "the certificate that was read before stays in use");
  };
  result.set_owned = [run](std::vector<owned_provider> all) {
    run([all = std::move(all)](node_state& y) { y.set_owned(all); });
  };
  result.add_remote = [run](remote_provider one) { run([one = std::move(one)](node_state& y) { y.add_remote(one); }); };
  result.remove_remote = [run](std::string name) {
    run([name = std::move(name)](node_state& y) { y.remove_remote(name); });
  };
  result.find_again = [run](std::string name) { run([name = std::move(name)](node_state& y) { y.find_again(name); }); };
  return result;
}

} // namespace modelforge
