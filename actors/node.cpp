#include "actors/node.hpp"

#include "actors/peer_port.hpp"
#include "actors/provider_guest.hpp"
#include "actors/support/callers.hpp"
#include "actors/support/mail.hpp"
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
uint64_t most_of_message(const node_settings& x) {
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

/// Questions for providers that are not there yet; more are answered as if there were none.
constexpr std::size_t most_early = 10'000;

/// Everything but its making runs inside the node's actor, which its handlers keep alive.
class node_core : public std::enable_shared_from_this<node_core> {
public:
  node_core(caf::actor_system& system, const node_settings& x, std::shared_ptr<node::credentials> tls)
    : settings_(x), hello_(hello_of(x)), tls_(std::move(tls)), carrier_(carrier_of(system)) {
    for (auto& peer : x.peers)
      links_.push_back(std::make_unique<link>(*node::parse_address(peer), link_settings_of(x), system.clock().now()));
  }

  node_actor::behavior_type make_behavior(node_actor::pointer self) {
    self_ = self;
    callers_.emplace(self, [this](const caf::actor_addr& who, const caf::error&) { safely([&] { on_death(who); }); });
    keep_ = caf::actor_cast<caf::strong_actor_ptr>(self);
    self->set_exit_handler([this](caf::exit_msg&) { leave(); });
    post_if_alive(weak(), [this] { safely([&] { serve(); }); });
    return {
      [me = shared_from_this()](const node_hello& x) { return guarded<node_hello>([&] { return me->greet(x); }); },
      [this](const node_hello& x, const caf::actor& back) {
        return guarded<node_hello>([&] { return greet_back(x, back); });
      },
      [this](caf::get_atom, const node_hello& x, const std::string& name) {
        return guarded<provider_actor>([&] { return find(x, name); });
      },
      [this](status_atom) { return guarded<node_status>([&] { return caf::result<node_status>{status()}; }); },
    };
  }

  void listen_at(std::string where, std::unique_ptr<node::door> door) {
    listening_ = std::move(where);
    door_ = std::move(door);
  }

  void set_owned(std::vector<owned_provider> x) {
    owned_ = std::move(x);
    for (auto& answer : std::exchange(early_, {}))
      answer();
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
      return x.proxy.disconnect(why_not(x.owner));
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
              proxy.connect({found, gate_to(owner)});
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
  struct link {
    link(node::address at, const node::link_settings& how, time_point now) : at(std::move(at)), machine(how, now) {}

    node::address at;
    peer_link machine;
    std::unique_ptr<node::probe> probe;
    std::shared_ptr<node::connection> connection; ///< That CAF is to have next.
    node_actor root;
    std::string name; ///< The peer's, once it has told.
  };

  time_point now() const { return self_->clock().now(); }

  caf::weak_actor_ptr weak() const { return caf::actor_cast<caf::weak_actor_ptr>(self_); }

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
      answer(std::move(reply), name, guest, asker);
    });
    return reply;
  }

  void answer(caf::typed_response_promise<provider_actor> reply, const std::string& name, const std::string& node,
              const caf::strong_actor_ptr& asker) {
    auto is_awaited =
      !owned_ // the program has only just begun to listen
      || std::any_of(owned_->begin(), owned_->end(), [&](auto& one) { return one.name == name && one.is == nullptr; });
    if (is_awaited && early_.size() < most_early) {
      early_.emplace_back([this, reply, name, node, asker] { answer(reply, name, node, asker); });
      return;
    }
    auto found = guest_of(name, node, asker);
    if (auto* no = std::get_if<failure>(&found))
      reply.deliver(caf::make_error(no->code, *no));
    else
      reply.deliver(std::get<provider_actor>(std::move(found)));
  }

  std::variant<provider_actor, failure> guest_of(const std::string& name, const std::string& node,
                                                 const caf::strong_actor_ptr& asker) {
    std::string known;
    for (auto& one : *owned_) {
      if (one.name == name && one.is != nullptr)
        return guest_at(one, node, asker);
      known += (known.empty() ? "" : ", ") + one.name;
    }
    return make_failure(errc::configuration, "node " + settings_.name + " does not run a provider \"" + name + "\"",
                        known.empty() ? "it runs none" : "it runs: " + known);
  }

  /// One for each program and provider, however often it asks.
  provider_actor guest_at(const owned_provider& of, const std::string& node, const caf::strong_actor_ptr& asker) {
    auto& guest = guests_[{asker->node(), caf::actor_cast<caf::actor_addr>(of.is)}];
    if (guest == nullptr) {
      guest =
        spawn_provider_guest(self_->system(), of.is, node, asker, settings_.max_message_bytes, gate_to(asker->node()));
      auto is = caf::actor_cast<caf::strong_actor_ptr>(guest);
      callers_->add(is);
      if (of.admit)
        of.admit(is, "node " + node);
    }
    return guest;
  }

  /// What all who send to that program share.
  std::shared_ptr<node::shared_gate> gate_to(const caf::node_id& program) {
    std::erase_if(gates_, [](auto& x) { return x.second.expired(); });
    auto& known = gates_[program];
    auto result = known.lock();
    if (result == nullptr)
      known = result = std::make_shared<node::shared_gate>();
    return result;
  }

  node_status status() const {
    node_status x;
    x.name = settings_.name;
    x.cluster = settings_.cluster;
    x.listening = listening_;
    x.tls = uses_tls(settings_);
    std::set<std::string> told;
    for (auto& one : links_) {
      peer_status y;
      y.name = one->name;
      y.address = node::to_string(one->at);
      y.up = one->machine.current() == peer_link::state::up;
      y.problem = one->machine.problem();
      y.since = self_->clock().now() - one->machine.since();
      told.insert(y.name);
      x.peers.push_back(std::move(y));
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
      callers_->add(caf::actor_cast<caf::strong_actor_ptr>(root));
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
    std::erase_if(guests_, [&](auto& x) { return caf::actor_cast<caf::actor_addr>(x.second) == who; });
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

  std::string why_not(const std::string& owner) const {
    std::string result;
    for (auto& x : links_)
      if (x->name == owner || x->name.empty())
        if (!x->machine.problem().empty())
          result += (result.empty() ? "" : "; ") + node::to_string(x->at) + ": " + x->machine.problem();
    return result;
  }

  // -- links that we make ---------------------------------------------------------------

  void serve() {
    if (left_)
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
    if (!next || (!wake_ups_.empty() && *wake_ups_.begin() <= *next))
      return;
    wake_ups_.insert(*next);
    run_at(self_, *next, [this] {
      wake_ups_.erase(wake_ups_.begin(), wake_ups_.upper_bound(now()));
      safely([&] { serve(); });
    });
  }

  void begin(link& x, peer_link::state step) {
    auto attempt = x.machine.attempt();
    switch (step) {
      case peer_link::state::probing:
        x.connection.reset();
        x.probe = std::make_unique<node::probe>(
          x.at, tls_, std::chrono::duration_cast<std::chrono::milliseconds>(link_settings_of(settings_).step) * 9 / 10,
          [to = weak(), this, &x, attempt](node::probe::result found) {
            post_if_alive(
              to, [this, &x, attempt, found = std::move(found)] { safely([&] { on_probe(x, attempt, found); }); });
          });
        break;
      case peer_link::state::connecting:
        ask(self_, carrier_, caf::connect_atom_v,
            scribe_of(self_->system(), std::exchange(x.connection, nullptr), most_of_message(settings_)), x.at.port)
          .then(
            [this, &x, attempt](const caf::node_id&, const caf::strong_actor_ptr& root,
                                const std::set<std::string>& interface) {
              safely([&] { on_link(x, attempt, root, interface); });
            },
            [this, &x, attempt](const caf::error& why) { safely([&] { on_failure(x, attempt, link_problem(why)); }); });
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

  std::string link_problem(const caf::error& why) const {
    return std::string{"something listens there, but no link came about ("} + to_string(why) + "); "
           + (tls_ != nullptr
                ? "it must be a node with a certificate of the same authority (`ca` in [node.tls])" + unused_files()
                : "it must be a node without [node.tls], as this one, of the same version of ModelForge");
  }

  std::string unused_files() const {
    auto problem = tls_ != nullptr ? tls_->problem() : "";
    return problem.empty() ? "" : " (this node's own files have changed and cannot be used: " + problem + ")";
  }

  void on_probe(link& x, uint64_t attempt, const node::probe::result& found) {
    if (attempt != x.machine.attempt())
      return;
    if (!found.problem.empty())
      return on_failure(x, attempt, found.problem + unused_files());
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
    callers_->add(root); // it may be lost before it is greeted
    x.machine.advance(now());
    serve();
  }

  void on_hello(link& x, uint64_t attempt, const node_hello& theirs) {
    if (attempt != x.machine.attempt())
      return;
    if (auto why = node::misfit(hello_, theirs))
      return on_failure(x, attempt, *why);
    identify(theirs.node, x.root.node(), [this, &x, attempt, name = theirs.node](std::optional<std::string> why) {
      if (left_ || attempt != x.machine.attempt())
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
    if (left_ || attempt != x.machine.attempt())
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
        remote.proxy.disconnect(why_not(remote.owner));
    serve();
  }

  void drop_root(link& x) {
    if (x.root != nullptr)
      callers_->remove(caf::actor_cast<caf::actor_addr>(std::exchange(x.root, nullptr)));
  }

  void leave() {
    left_ = true;
    for (auto& [name, x] : remotes_)
      safely([&proxy = x.proxy] { proxy.disconnect("the program is shutting down"); });
    links_.clear();
    guests_.clear();
    door_.reset();
    keep_ = nullptr;
    self_->quit();
  }

  node_settings settings_;
  node_hello hello_;
  std::shared_ptr<node::credentials> tls_; ///< Null: in the clear.
  caf::actor carrier_;
  std::string listening_;
  std::unique_ptr<node::door> door_;
  node_actor::pointer self_ = nullptr;
  caf::strong_actor_ptr keep_; ///< Itself, until the end.
  std::optional<callers<std::remove_pointer_t<node_actor::pointer>>> callers_;
  std::mt19937_64 random_{std::random_device{}()};
  std::vector<std::unique_ptr<link>> links_;
  node::peer_roots<node_actor> peers_;                                        ///< Those that can be reached.
  std::optional<std::vector<owned_provider>> owned_;                          ///< Empty: not told yet.
  std::vector<std::function<void()>> early_;                                  ///< Questions for them that came before.
  std::map<std::pair<caf::node_id, caf::actor_addr>, provider_actor> guests_; ///< By program and provider; they live.
  std::map<caf::node_id, std::weak_ptr<node::shared_gate>> gates_;            ///< By the program that they lead to.
  std::map<std::string, remote_provider> remotes_;
  std::set<time_point> wake_ups_;
  bool left_ = false;
};

/// Opens the port; a failure says why that cannot be.
std::variant<std::unique_ptr<node::door>, failure> publish(const node_actor& x, const node_settings& how,
                                                           std::shared_ptr<node::credentials> tls) {
  node::door::options options;
  options.at = *node::parse_address(how.listen);
  options.tls = std::move(tls);
  options.waiting.patience = std::clamp<duration>(how.timeout, std::chrono::seconds{1}, std::chrono::seconds{10});
  auto opened = publish_at(x.home_system(), std::move(options), caf::actor_cast<caf::strong_actor_ptr>(x),
                           x.home_system().message_types<node_actor>(), most_of_message(how));
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
  auto core = std::make_shared<node_core>(system, x, tls);
  node_control result;
  result.settings = x;
  result.actor = system.spawn([core](node_actor::pointer self) { return core->make_behavior(self); });
  auto run = [to = caf::actor_cast<caf::weak_actor_ptr>(result.actor), core = std::weak_ptr{core}](auto f) {
    post_if_alive(to, [core, f = std::move(f)] {
      if (auto here = core.lock())
        safely([&] { f(*here); });
    });
  };
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
    run([where = result.listening, door](node_core& y) { y.listen_at(where, std::move(*door)); });
  }
  result.renew_credentials = [tls]() -> std::optional<failure> {
    auto problem = tls != nullptr ? tls->reload() : std::nullopt;
    if (!problem)
      return {};
    return make_failure(errc::configuration, *problem, "the certificate that was read before stays in use");
  };
  result.set_owned = [run](std::vector<owned_provider> all) {
    run([all = std::move(all)](node_core& y) { y.set_owned(all); });
  };
  result.add_remote = [run](remote_provider one) { run([one = std::move(one)](node_core& y) { y.add_remote(one); }); };
  result.remove_remote = [run](std::string name) {
    run([name = std::move(name)](node_core& y) { y.remove_remote(name); });
  };
  result.find_again = [run](std::string name) { run([name = std::move(name)](node_core& y) { y.find_again(name); }); };
  return result;
}

} // namespace modelforge
