#include "actors/node.hpp"

#include "actors/guest_list.hpp"
#include "actors/node_link.hpp"
#include "actors/node_log.hpp"
#include "actors/node_port.hpp"
#include "actors/peer_port.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"
#include "actors/support/safely.hpp"
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

/// Between two looks at the certificate.
constexpr auto look_interval = std::chrono::minutes{1};

/// Carries out what `peer_link` decides for each configured peer, lets in those who connect, and finds the owners of
/// remote providers for their proxies.
///
/// A link is probed, connected, greeted, and then up; its peer's actor (its root) is watched, and whoever greets by a
/// name that is taken, or that its certificate does not have, is refused.
class node_state {
public:
  static inline const char* name = "node";

  node_state(node_actor::pointer self, const node_settings& settings, std::shared_ptr<node::credentials> tls,
             const log_handle& log)
    : self_(self), settings_(settings), hello_(hello_of(settings)), log_(log), tls_(std::move(tls)),
      carrier_(carrier_of(self->system())),
      callers_(self, [this](const caf::actor_addr& who, const caf::error&) { safely([&] { on_death(who); }); }),
      keep_(caf::actor_cast<caf::strong_actor_ptr>(self)), guests_(settings, log),
      timer_(self, [this] { safely([&] { serve(); }); }) {
    for (auto& peer : settings.peers)
      links_.push_back(std::make_unique<node_link>(*node::parse_address(peer), link_settings_of(settings), now()));
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

  void set_owned(std::vector<owned_provider> owned) {
    for (auto& waiting : guests_.set_owned(std::move(owned)))
      answer(std::move(waiting));
  }

  void add_remote(remote_provider remote) {
    auto name = remote.name;
    remotes_.insert_or_assign(name, std::move(remote));
    find_again(name);
  }

  /// Tells what has become of the certificate's files.
  void look_at_credentials() { log_.look_at(tls_.get(), now()); }

  void remove_remote(const std::string& name) { remotes_.erase(name); }

  void report(const std::function<void(telemetry::node_report)>& tell) { tell({status(), guests_.report()}); }

  /// Asks the owner for its provider, if there is a link.
  void find_again(const std::string& name) {
    auto i = remotes_.find(name);
    if (i == remotes_.end())
      return;
    auto& remote = i->second;
    auto* peer = peers_.find(remote.owner);
    if (peer == nullptr)
      return remote.proxy.disconnect({why_not(links_, remote.owner)});
    auto is_asked = [this, owner = remote.owner, asked = *peer] { return root_of(owner) == asked; }; // still
    ask(self_, *peer, caf::get_atom_v, hello_, name)
      .then(
        [this, is_asked, proxy = remote.proxy, owner = peer->node()](const provider_actor& found) {
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
        [is_asked, proxy = remote.proxy](const caf::error& why) {
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

  std::optional<caf::error> refuse_misfit(const node_hello& hello) {
    auto why = node::misfit(hello_, hello);
    return why ? std::optional{refuse(hello.node, *why)} : std::nullopt;
  }

  caf::result<node_hello> greet(const node_hello& hello) {
    if (auto no = refuse_misfit(hello))
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

  caf::error refuse(const std::string& peer, const std::string& why) {
    log_.refused(peer, why);
    return caf::make_error(errc::configuration, make_failure(errc::configuration, why));
  }

  caf::result<node_hello> greet_back(const node_hello& hello, const caf::actor& back) {
    if (auto no = refuse_misfit(hello))
      return std::move(*no);
    auto from = origin();
    if (back == nullptr || back.node() != from)
      return refuse(hello.node, "node \"" + hello.node + "\" greets for another program");
    auto reply = self_->make_response_promise<node_hello>(); // takes the sender away
    identify(hello.node, from, [this, reply, back, name = hello.node](std::optional<std::string> why) mutable {
      if (why)
        return reply.deliver(refuse(name, *why));
      add_root(name, caf::actor_cast<node_actor>(back), false);
      reply.deliver(hello_);
    });
    return reply;
  }

  caf::result<provider_actor> find(const node_hello& hello, const std::string& name) {
    if (auto no = refuse_misfit(hello))
      return std::move(*no);
    auto asker = self_->current_sender();
    if (asker == nullptr)
      return refuse(hello.node, "nobody asks");
    auto where = origin();
    auto reply = self_->make_response_promise<provider_actor>(); // takes the sender away
    identify(hello.node, where, [this, reply, asker, guest = hello.node, name](std::optional<std::string> why) mutable {
      if (why)
        return reply.deliver(refuse(guest, *why));
      answer({name, guest, asker, reply});
    });
    return reply;
  }

  void answer(guest_list::question question) {
    if (auto guest = guests_.answer(self_->system(), std::move(question), gates_))
      callers_.add(caf::actor_cast<caf::strong_actor_ptr>(guest));
  }

  node_status status() const {
    std::vector<std::pair<std::string, time_point>> peers;
    peers_.for_each([&](const std::string& name, time_point since) { peers.emplace_back(name, since); });
    return status_of(settings_, port_.address, links_, peers, now());
  }

  // -- the others ---------------------------------------------------------------------

  /// By this actor the peer can be reached from now on.
  void add_root(const std::string& name, const node_actor& root, bool configured, const std::string& address = {}) {
    auto before = root_of(name);
    look_at_credentials(); // the files may have been read for it
    if (peers_.add(name, root, configured, now()))
      callers_.add(caf::actor_cast<caf::strong_actor_ptr>(root));
    if (before == nullptr)
      log_.connected(name, address);
    if (root_of(name) != before)
      find_all_of(name);
  }

  node_actor root_of(const std::string& name) const {
    auto* root = peers_.find(name);
    return root != nullptr ? *root : node_actor{};
  }

  void find_all_of(const std::string& owner) {
    for (auto& [provider, remote] : remotes_)
      if (remote.owner == owner)
        find_again(provider);
  }

  void on_death(const caf::actor_addr& who) {
    for (auto& link : links_)
      if (link->root != nullptr && caf::actor_cast<caf::actor_addr>(link->root) == who) {
        link->root = nullptr;
        auto was_up = link->machine.current() == peer_link::state::up;
        link->machine.fail("the link broke", now(), random_);
        if (was_up)
          log_.break_off(*link);
      }
    guests_.remove(who);
    lose_root(who);
    serve();
  }

  /// Another one that greeted by the same name takes its place, if there is one.
  void lose_root(const caf::actor_addr& who) {
    for (auto& owner : peers_.remove(who)) {
      if (peers_.find(owner) == nullptr)
        log_.lost(owner);
      for (auto& [provider, remote] : remotes_)
        if (remote.owner == owner && peers_.find(owner) == nullptr)
          remote.proxy.disconnect({"the link to it broke"});
        else if (remote.owner == owner)
          find_again(provider);
    }
  }

  // -- links that we make ---------------------------------------------------------------

  void serve() {
    if (has_left())
      return;
    auto at = now();
    auto next = tls_ != nullptr ? std::optional<time_point>{at + look_interval} : std::nullopt;
    log_.look_at(tls_.get(), at);
    for (auto& link : links_) {
      while (auto step = link->machine.next(at, random_))
        begin(*link, *step);
      if (link->machine.current() == peer_link::state::waiting) // also where a step took too long
        drop_root(*link);
      log_.look_at(*link);
      if (auto due = link->machine.wake_at(); due && (!next || *due < *next))
        next = due;
    }
    timer_.arm(next);
  }

  void begin(node_link& link, peer_link::state step) {
    auto attempt = link.machine.attempt();
    switch (step) {
      case peer_link::state::probing:
        link.connection.reset();
        link.probe = std::make_unique<node::probe>(
          link.address, tls_,
          std::chrono::duration_cast<std::chrono::milliseconds>(link_settings_of(settings_).step) * 9 / 10,
          [to = here(), &link, attempt](node::probe::result found) {
            to.run([&link, attempt, found = std::move(found)](node_state& state) {
              safely([&] { state.on_probe(link, attempt, found); });
            });
          });
        break;
      case peer_link::state::connecting:
        ask(self_, carrier_, caf::connect_atom_v,
            scribe_of(self_->system(), std::exchange(link.connection, nullptr), max_message_of(settings_)),
            link.address.port)
          .then([this, &link, attempt](
                  const caf::node_id&, const caf::strong_actor_ptr& root,
                  const std::set<std::string>& interface) { safely([&] { on_link(link, attempt, root, interface); }); },
                [this, &link, attempt](const caf::error& why) {
                  safely([&] { on_failure(link, attempt, link_problem(why, tls_.get())); });
                });
        break;
      case peer_link::state::greeting:
        // Who is not to be believed does not learn of us: first we ask who it is.
        ask(self_, link.root, hello_)
          .then([this, &link, attempt](const node_hello& theirs) { safely([&] { on_hello(link, attempt, theirs); }); },
                [this, &link, attempt](const caf::error& why) {
                  safely([&] { on_failure(link, attempt, failure_of(why).message); });
                });
        break;
      default:
        break;
    }
  }

  void on_probe(node_link& link, uint64_t attempt, const node::probe::result& found) {
    if (attempt != link.machine.attempt())
      return;
    if (!found.problem.empty())
      return on_failure(link, attempt, found.problem + unused_files(tls_.get()));
    link.connection = found.is;
    link.machine.advance(now());
    serve();
  }

  void on_link(node_link& link, uint64_t attempt, const caf::strong_actor_ptr& root,
               const std::set<std::string>& interface) {
    if (attempt != link.machine.attempt())
      return;
    // the one call that is there in every version
    static const auto wanted = self_->system().message_types<caf::typed_actor<caf::result<node_hello>(node_hello)>>();
    if (root == nullptr || !std::includes(interface.begin(), interface.end(), wanted.begin(), wanted.end()))
      return on_failure(link, attempt, "what listens there is not a ModelForge node");
    link.root = caf::actor_cast<node_actor>(root);
    callers_.add(root); // it may be lost before it is greeted
    link.machine.advance(now());
    serve();
  }

  /// Only a peer that fits, and is who it says by its certificate, hears of us.
  void on_hello(node_link& link, uint64_t attempt, const node_hello& theirs) {
    if (attempt != link.machine.attempt())
      return;
    if (auto why = node::misfit(hello_, theirs))
      return on_failure(link, attempt, *why);
    identify(theirs.node, link.root.node(), [this, &link, attempt, name = theirs.node](std::optional<std::string> why) {
      if (has_left() || attempt != link.machine.attempt())
        return;
      if (why)
        return on_failure(link, attempt, *why);
      link.name = name;
      ask(self_, link.root, hello_, caf::actor_cast<caf::actor>(self_))
        .then([this, &link, attempt](const node_hello& again) { safely([&] { on_welcome(link, attempt, again); }); },
              [this, &link, attempt](const caf::error& no) {
                safely([&] { on_failure(link, attempt, failure_of(no).message); });
              });
    });
  }

  void on_welcome(node_link& link, uint64_t attempt, const node_hello& theirs) {
    if (has_left() || attempt != link.machine.attempt())
      return;
    if (auto* known = peers_.find(link.name);
        theirs.node != link.name || (known != nullptr && known->node() != link.root.node()))
      return on_failure(link, attempt, node::taken(theirs.node, settings_.name));
    link.machine.advance(now());
    add_root(link.name, link.root, true, node::to_string(link.address));
    serve();
  }

  void on_failure(node_link& link, uint64_t attempt, std::string why) {
    if (attempt != link.machine.attempt())
      return;
    drop_root(link);
    link.machine.fail(std::move(why), now(), random_);
    for (auto& [provider, remote] : remotes_) // those who wait for it hear of it
      if (peers_.find(remote.owner) == nullptr)
        remote.proxy.disconnect({why_not(links_, remote.owner)});
    serve();
  }

  void drop_root(node_link& link) {
    if (link.root != nullptr)
      callers_.remove(caf::actor_cast<caf::actor_addr>(std::exchange(link.root, nullptr)));
  }

  void leave() {
    for (auto& [name, remote] : remotes_)
      safely([&proxy = remote.proxy] { proxy.disconnect({"the program is shutting down", true}); });
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
  node_log log_;
  std::shared_ptr<node::credentials> tls_; ///< Null: in the clear.
  caf::actor carrier_;
  open_port port_;
  callers<std::remove_pointer_t<node_actor::pointer>> callers_;
  caf::strong_actor_ptr keep_; ///< Itself, until `leave`.
  std::mt19937_64 random_{std::random_device{}()};
  node_links links_;
  node::peer_roots<node_actor> peers_; ///< Those that can be reached.
  guest_list guests_;
  link_gates gates_;
  std::map<std::string, remote_provider> remotes_;
  timer timer_;
};

} // namespace

std::variant<node_control, failure> spawn_node(caf::actor_system& system, const node_settings& settings,
                                               log_handle log) {
  if (!system.has_middleman())
    return make_failure(errc::configuration, "this actor system cannot reach other nodes",
                        "call apply(settings, config) before the actor system is made");
  auto read = read_credentials(settings);
  if (auto* problem = std::get_if<failure>(&read))
    return std::move(*problem);
  auto tls = std::get<0>(std::move(read));
  node_control result;
  result.settings = settings;
  result.actor = system.spawn<node_actor::stateful_impl<node_state>>(settings, tls, log);
  auto state = state_of<node_state>(result.actor);
  auto run = [state](auto f) { state.run([f = std::move(f)](node_state& self) mutable { safely([&] { f(self); }); }); };
  if (!settings.listen.empty()) {
    auto opened = open_door(result.actor, settings, tls, log);
    if (auto* problem = std::get_if<failure>(&opened)) {
      caf::anon_send_exit(result.actor, caf::exit_reason::user_shutdown);
      return std::move(*problem);
    }
    auto address = *node::parse_address(settings.listen);
    auto door = std::make_shared<std::unique_ptr<node::door>>(std::get<0>(std::move(opened)));
    address.port = (*door)->port();
    result.listening = node::to_string(address);
    run([where = result.listening, door](node_state& self) { self.listen_at(where, std::move(*door)); });
  }
  result.renew_credentials = [tls, run]() -> std::optional<failure> {
    auto problem = tls != nullptr ? tls->reload() : std::nullopt;
    run([](node_state& self) { self.look_at_credentials(); });
    if (!problem)
      return {};
    return make_failure(errc::configuration, *problem, "the certificate that was read before stays in use");
  };
  auto pass_to = [run](auto member) {
    return [run, member](auto x) { run([member, x = std::move(x)](node_state& self) { (self.*member)(x); }); };
  };
  result.set_owned = pass_to(&node_state::set_owned);
  result.add_remote = pass_to(&node_state::add_remote);
  result.remove_remote = pass_to(&node_state::remove_remote);
  result.report = pass_to(&node_state::report);
  result.find_again = pass_to(&node_state::find_again);
  return result;
}

} // namespace modelforge
