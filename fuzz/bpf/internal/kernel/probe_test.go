package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProbe compares with what every kernel since 6.1 does.
func TestProbe(t *testing.T) {
	privileged(t)
	found := Probe()
	types := map[string]*TypeProbe{}
	for i := range found.Types {
		types[found.Types[i].Name] = &found.Types[i]
	}
	for _, name := range strings.Fields(`xdp sched_cls sched_act socket_filter cgroup_skb lwt_in lwt_out lwt_xmit
		flow_dissector sk_lookup raw_tracepoint syscall`) {
		t.Run(name, func(t *testing.T) {
			if p := types[name]; p.Load != nil || p.Run != nil {
				t.Errorf("loads: %v, runs: %v", p.Load, p.Run)
			}
		})
	}
	for _, name := range strings.Fields(`sock_ops lwt_seg6local sk_skb sk_msg sk_reuseport cgroup_sock cgroup_sock_addr
		cgroup_device cgroup_sysctl cgroup_sockopt kprobe tracepoint perf_event tp_btf raw_tracepoint_writable`) {
		t.Run(name, func(t *testing.T) {
			if p := types[name]; p.Run == nil || p.Load == nil && !errors.Is(p.Run, ErrNo) {
				t.Errorf("loads: %v, runs: %v", p.Load, p.Run)
			}
		})
	}
	for _, p := range found.Types {
		t.Run(p.Name+" is consistent", func(t *testing.T) { consistent(t, &p) })
	}
}

func consistent(t *testing.T, p *TypeProbe) {
	t.Logf("%+v", *p)
	switch {
	case p.Run != nil:
		if len(p.Fields) > 0 || len(p.Flags) > 0 || p.Packet != (Range{}) || p.Context != (Range{}) {
			t.Error("there are details of a type that does not run")
		}
	case p.Packet == Range{} && p.Context == Range{}:
		t.Error("takes neither packet nor context")
	case p.Packet.Max > 0 && (p.Packet.Min > legalPacket || p.Packet.Max < 1500):
		t.Errorf("packets of %+v", p.Packet)
	case p.MinIPv4 != 0 && (p.MinIPv4 != 34 || p.MinIPv6 != 54):
		t.Errorf("smallest IPv4 %d, smallest IPv6 %d", p.MinIPv4, p.MinIPv6)
	}
}

func TestProbeDetails(t *testing.T) {
	privileged(t)
	found := Probe()
	for _, test := range []struct {
		name      string
		fields    string
		yes       string
		frags     bool
		packetMin int
	}{
		{"xdp", "data data_end ingress_ifindex rx_queue_index", "repeat live_frames", true, 14},
		{"sched_cls", "mark priority ingress_ifindex ifindex cb[0] cb[1] cb[2] cb[3] cb[4] tstamp wire_len gso_segs gso_size hwtstamp", "repeat checksum_complete", false, 14},
		{"flow_dissector", "flags", "repeat", false, 14},
		{"raw_tracepoint", "", "run_on_cpu", false, 0},
		{"syscall", "", "", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := slices.IndexFunc(found.Types, func(p TypeProbe) bool { return p.Name == test.name })
			p := found.Types[i]
			var yes []string
			for _, f := range p.Flags {
				if f.Err == nil {
					yes = append(yes, f.Name)
				}
			}
			if got := strings.Join(p.Fields, " "); got != test.fields {
				t.Errorf("context fields %s, want %s", got, test.fields)
			}
			if got := strings.Join(yes, " "); got != test.yes {
				t.Errorf("flags %s, want %s", got, test.yes)
			}
			if p.Packet.Min != test.packetMin || (p.Frags > p.Packet.Max) != test.frags {
				t.Errorf("packets from %d to %d, with frags to %d", p.Packet.Min, p.Packet.Max, p.Frags)
			}
		})
	}
	if found.LiveMax < 1500 || found.LiveBatch < 64 {
		t.Errorf("live frames of at most %d bytes, at most %d at once", found.LiveMax, found.LiveBatch)
	}
}

// TestProbeFeatures has those that this project cannot do without.
func TestProbeFeatures(t *testing.T) {
	privileged(t)
	need := []string{"network-namespace", "load-test-state-freq", "mmapable-array", "ring-buffer", "batch-xdp", "batch-tc", "live-frames"}
	for _, f := range Probe().Features {
		t.Logf("%s: %v", f.Name, f.Err)
		if f.Err != nil && slices.Contains(need, f.Name) {
			t.Errorf("%s: %v", f.Name, f.Err)
		}
	}
}

func TestAnswer(t *testing.T) {
	for _, test := range []struct {
		name  string
		errno unix.Errno
		want  string
	}{
		{"worked", 0, "yes"},
		{"no operation", enotsupp, "no"},
		{"no such flag", unix.EINVAL, "no"},
		{"not for these", unix.EOPNOTSUPP, "no"},
		{"forbidden", unix.EPERM, "unknown"},
		{"short of memory", unix.ENOMEM, "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := "yes"
			if err := fmt.Errorf("wrapped: %w", answer("trying", test.errno)); errors.Is(err, ErrNo) {
				got = "no"
			} else if answer("trying", test.errno) != nil {
				got = "unknown"
			}
			if got != test.want {
				t.Errorf("%v is %s, want %s", test.errno, got, test.want)
			}
		})
	}
}

// TestProbeWithoutNamespace shows that nothing is attached or made where there is
// no private namespace, whatever the caller may do.
func TestProbeWithoutNamespace(t *testing.T) {
	p := &prober{buf: make([]byte, largest), isolation: unix.EPERM}
	p.batches()
	p.live()
	for _, f := range p.found.Features {
		if f.Name != "batch-tc" && (f.Err == nil || errors.Is(f.Err, ErrNo)) {
			t.Errorf("%s: %v, but nobody could tell", f.Name, f.Err)
		}
	}
	if n := p.newQueues(); n != 0 {
		t.Errorf("interface %d was made", n)
	}
}
