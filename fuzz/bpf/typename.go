package bpf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// typeNames are the types that a program can be loaded as, by bpftool's names.
func typeNames() map[string]rowKey {
	names := map[string]rowKey{
		"socket":            {typ: ebpf.SocketFilter},
		"kprobe":            {typ: ebpf.Kprobe},
		"kretprobe":         {typ: ebpf.Kprobe},
		"classifier":        {typ: ebpf.SchedCLS},
		"action":            {typ: ebpf.SchedACT},
		"tracepoint":        {typ: ebpf.TracePoint},
		"raw_tracepoint":    {typ: ebpf.RawTracepoint},
		"xdp":               {typ: ebpf.XDP},
		"perf_event":        {typ: ebpf.PerfEvent},
		"cgroup/skb":        {typ: ebpf.CGroupSKB},
		"cgroup/sock":       {ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate},
		"cgroup/dev":        {ebpf.CGroupDevice, ebpf.AttachCGroupDevice},
		"lwt_in":            {typ: ebpf.LWTIn},
		"lwt_out":           {typ: ebpf.LWTOut},
		"lwt_xmit":          {typ: ebpf.LWTXmit},
		"lwt_seg6local":     {typ: ebpf.LWTSeg6Local},
		"sockops":           {ebpf.SockOps, ebpf.AttachCGroupSockOps},
		"sk_skb":            {typ: ebpf.SkSKB},
		"sk_msg":            {ebpf.SkMsg, ebpf.AttachSkMsgVerdict},
		"lirc_mode2":        {ebpf.LircMode2, ebpf.AttachLircMode2},
		"sk_reuseport":      {ebpf.SkReuseport, ebpf.AttachSkReuseportSelect},
		"sk_lookup":         {ebpf.SkLookup, ebpf.AttachSkLookup},
		"flow_dissector":    {ebpf.FlowDissector, ebpf.AttachFlowDissector},
		"netfilter":         {ebpf.Netfilter, ebpf.AttachNetfilter},
		"syscall":           {typ: ebpf.Syscall},
		"cgroup/sysctl":     {ebpf.CGroupSysctl, ebpf.AttachCGroupSysctl},
		"cgroup/getsockopt": {ebpf.CGroupSockopt, ebpf.AttachCGroupGetsockopt},
		"cgroup/setsockopt": {ebpf.CGroupSockopt, ebpf.AttachCGroupSetsockopt},
		"cgroup/post_bind4": {ebpf.CGroupSock, ebpf.AttachCGroupInet4PostBind},
		"cgroup/post_bind6": {ebpf.CGroupSock, ebpf.AttachCGroupInet6PostBind},
	}
	for name, attach := range map[string]ebpf.AttachType{
		"bind4": ebpf.AttachCGroupInet4Bind, "bind6": ebpf.AttachCGroupInet6Bind,
		"connect4": ebpf.AttachCGroupInet4Connect, "connect6": ebpf.AttachCGroupInet6Connect,
		"getpeername4": ebpf.AttachCgroupInet4GetPeername, "getpeername6": ebpf.AttachCgroupInet6GetPeername,
		"getsockname4": ebpf.AttachCgroupInet4GetSockname, "getsockname6": ebpf.AttachCgroupInet6GetSockname,
		"sendmsg4": ebpf.AttachCGroupUDP4Sendmsg, "sendmsg6": ebpf.AttachCGroupUDP6Sendmsg,
		"recvmsg4": ebpf.AttachCGroupUDP4Recvmsg, "recvmsg6": ebpf.AttachCGroupUDP6Recvmsg,
	} {
		names["cgroup/"+name] = rowKey{ebpf.CGroupSockAddr, attach}
	}
	return names
}

// loadName returns the name by which bpftool loads a type, given that by which it shows
// loaded programs where the two differ.
func loadName(shown string) string {
	switch shown {
	case "socket_filter":
		return "socket"
	case "sched_cls":
		return "classifier"
	case "sched_act":
		return "action"
	case "cgroup_skb":
		return "cgroup/skb"
	case "cgroup_device":
		return "cgroup/dev"
	case "cgroup_sysctl":
		return "cgroup/sysctl"
	case "sock_ops":
		return "sockops"
	}
	return shown
}

// chooseTyped is choose for an object in which the chosen program has another type,
// unless that is "". Without a name the object must have one program.
func (o *Object) chooseTyped(name, typ string) (*Object, string, error) {
	if typ == "" {
		name, err := o.choose(name)
		return o, name, err
	}
	key, ok := typeNames()[loadName(typ)]
	if !ok {
		known := slices.Sorted(maps.Keys(typeNames()))
		return nil, "", fmt.Errorf("type %q: there is no such type of program; known are %s", typ, strings.Join(known, ", "))
	}
	if name == "" && len(o.spec.Programs) == 1 {
		for name = range o.spec.Programs {
		}
	}
	if name == "" {
		return nil, "", fmt.Errorf("type %q: object %s has %d programs, choose the one to load as that with -p", typ, o.Name, len(o.spec.Programs))
	}
	if o.spec.Programs[name] == nil {
		_, err := o.choose(name)
		return nil, "", err
	}
	other := &Object{Name: o.Name, Notes: o.Notes, spec: o.spec.Copy()}
	p := other.spec.Programs[name]
	p.Type, p.AttachType, p.AttachTo = key.typ, key.attach, ""
	if _, err := other.choose(name); err != nil {
		return nil, "", err
	}
	return other, name, nil
}
