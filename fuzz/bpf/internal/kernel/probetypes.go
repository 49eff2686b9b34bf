package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// TypeProbe is what the kernel does with programs of one type.
type TypeProbe struct {
	// Name is the type as bpftool prints it; types whose attach types differ have a
	// row for each.
	Name string
	// Load and Run say whether a program that does nothing is loaded, and whether
	// BPF_PROG_RUN runs it. See ErrNo.
	Load, Run error
	// Packet and Context bound data_in and ctx_in in bytes, zero for a type that
	// takes none. Context is measured only where it is all the input there is.
	Packet, Context Range
	// MinIPv4 and MinIPv6 are the smallest packets of these ethertypes.
	MinIPv4, MinIPv6 int
	// Frags is the largest packet of an XDP program that declares xdp.frags, Meta
	// the largest metadata; 0 for other types.
	Frags, Meta int
	// Fields are the context fields that may be other than zero.
	Fields []string
	// Flags are answers for what else the command takes. What a type silently
	// ignores is left out.
	Flags []FeatureProbe
}

// Range bounds a size in bytes.
type Range struct{ Min, Max int }

// probedType is a program type and an input for it that has to work.
type probedType struct {
	name string
	spec ebpf.ProgramSpec
	// extra completes the spec with something that has to be loaded first.
	extra func(*ebpf.ProgramSpec) (func() error, error)
	// packet is what the legal input has, 0 for a type that takes none.
	packet int
	// smallest has the contexts with which the smallest packets of these ethertypes
	// are measured; nil where the ethertype does not matter.
	smallest map[uint16][]byte
	// context is a legal context, nil where none has to be given.
	context []byte
	// bare says that the size of the context is up to the program.
	bare bool
	// fields are tried one by one on top of context, or of a context of zeros.
	fields []contextField
	// refused is what a type's run answers where it has no way to run the program
	// and another number than usual for that, 0 for none.
	refused unix.Errno
}

// probedTypes lists all types, those that BPF_PROG_RUN is documented for first.
func probedTypes() []probedType {
	skb := func(name string, t ebpf.ProgramType, attach ebpf.AttachType) probedType {
		return probedType{name: name, spec: ebpf.ProgramSpec{Type: t, AttachType: attach}, packet: legalPacket, smallest: map[uint16][]byte{unix.ETH_P_IP: nil, unix.ETH_P_IPV6: nil}, fields: skbFields()}
	}
	other := func(name string, t ebpf.ProgramType, attach ebpf.AttachType) probedType {
		return probedType{name: name, spec: ebpf.ProgramSpec{Type: t, AttachType: attach}, packet: legalPacket}
	}
	tracing := func(name string, t ebpf.ProgramType, attach ebpf.AttachType, to string) probedType {
		// The run of these types is that of functions of the kernel's own, and EFAULT where there are none.
		return probedType{name: name, spec: ebpf.ProgramSpec{Type: t, AttachType: attach, AttachTo: to}, refused: unix.EFAULT}
	}
	return []probedType{
		{name: "xdp", spec: ebpf.ProgramSpec{Type: ebpf.XDP}, packet: legalPacket, context: xdpBase(), fields: xdpFields()},
		skb("sched_cls", ebpf.SchedCLS, 0),
		skb("sched_act", ebpf.SchedACT, 0),
		skb("socket_filter", ebpf.SocketFilter, 0),
		skb("cgroup_skb", ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress),
		skb("lwt_in", ebpf.LWTIn, 0),
		skb("lwt_out", ebpf.LWTOut, 0),
		skb("lwt_xmit", ebpf.LWTXmit, 0),
		{
			name: "flow_dissector", spec: ebpf.ProgramSpec{Type: ebpf.FlowDissector, AttachType: ebpf.AttachFlowDissector},
			packet: legalPacket, fields: flowFields(),
		},
		{
			name: "netfilter", spec: ebpf.ProgramSpec{Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter},
			packet: legalPacket, context: netfilterState(nfLocalOut, unix.AF_INET), fields: netfilterFields(),
			smallest: map[uint16][]byte{
				unix.ETH_P_IP:   netfilterState(nfPreRouting, unix.AF_INET),
				unix.ETH_P_IPV6: netfilterState(nfPreRouting, unix.AF_INET6),
			},
		},
		{name: "sk_lookup", spec: ebpf.ProgramSpec{Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup}, context: lookupBase(), fields: lookupFields()},
		{name: "raw_tracepoint", spec: ebpf.ProgramSpec{Type: ebpf.RawTracepoint}, bare: true},
		{name: "raw_tracepoint_writable", spec: ebpf.ProgramSpec{Type: ebpf.RawTracepointWritable}, bare: true},
		{name: "syscall", spec: ebpf.ProgramSpec{Type: ebpf.Syscall, Flags: unix.BPF_F_SLEEPABLE}, bare: true},
		{name: "struct_ops", spec: ebpf.ProgramSpec{Type: ebpf.StructOps, AttachTo: "bpf_dummy_ops:test_1"}, context: make([]byte, 8)},
		tracing("fentry", ebpf.Tracing, ebpf.AttachTraceFEntry, "bpf_fentry_test1"),
		tracing("fexit", ebpf.Tracing, ebpf.AttachTraceFExit, "bpf_fentry_test1"),
		tracing("fmod_ret", ebpf.Tracing, ebpf.AttachModifyReturn, "bpf_modify_return_test"),
		tracing("tp_btf", ebpf.Tracing, ebpf.AttachTraceRawTp, "sched_switch"),
		tracing("lsm", ebpf.LSM, ebpf.AttachLSMMac, "file_mprotect"),
		{name: "ext", spec: ebpf.ProgramSpec{Type: ebpf.Extension}, extra: extend},
		other("sock_ops", ebpf.SockOps, ebpf.AttachCGroupSockOps),
		other("lwt_seg6local", ebpf.LWTSeg6Local, 0),
		other("sk_skb", ebpf.SkSKB, 0),
		other("sk_msg", ebpf.SkMsg, 0),
		other("sk_reuseport", ebpf.SkReuseport, ebpf.AttachSkReuseportSelect),
		other("cgroup_sock", ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate),
		other("cgroup_sock_addr", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect),
		other("cgroup_device", ebpf.CGroupDevice, ebpf.AttachCGroupDevice),
		other("cgroup_sysctl", ebpf.CGroupSysctl, ebpf.AttachCGroupSysctl),
		other("cgroup_sockopt", ebpf.CGroupSockopt, ebpf.AttachCGroupGetsockopt),
		other("kprobe", ebpf.Kprobe, 0),
		other("tracepoint", ebpf.TracePoint, 0),
		other("perf_event", ebpf.PerfEvent, 0),
		other("lirc_mode2", ebpf.LircMode2, ebpf.AttachLircMode2),
	}
}

// extend makes spec an extension of a function of an XDP program.
func extend(spec *ebpf.ProgramSpec) (func() error, error) {
	fn := &btf.Func{Name: "probe", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{
		Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed},
		Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Struct{Name: "xdp_md"}}}},
	}}
	spec.Instructions = asm.Instructions{btf.WithFuncMetadata(asm.Mov.Imm(asm.R0, 0), fn), asm.Return()}
	target, err := load(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: spec.Instructions})
	if err != nil {
		return nil, err
	}
	spec.AttachTarget, spec.AttachTo = target.prog, fn.Name
	return target.prog.Close, nil
}

// probeType answers everything about one type.
func (p *prober) probeType(t *probedType) TypeProbe {
	found := TypeProbe{Name: t.name}
	trial, closeAll, err := t.load()
	if found.Load = err; err != nil {
		found.Run = errors.New("no program of this type could be loaded")
		if errors.Is(err, ErrNo) {
			found.Run = no(found.Run)
		}
		return found
	}
	defer closeAll()
	if found.Run = t.ran(p.legal(t, trial)); found.Run != nil {
		return found
	}
	p.sizes(t, trial, &found)
	found.Fields = p.fields(t, trial)
	found.Flags = p.runFlags(t, trial)
	return found
}

// load loads a program that does nothing.
func (t *probedType) load() (*trial, func(), error) {
	spec := t.spec
	spec.License = "GPL"
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, t.verdict()), asm.Return()}
	release := func() error { return nil }
	if t.extra != nil {
		var err error
		if release, err = t.extra(&spec); err != nil {
			return nil, nil, err
		}
	}
	prog, err := ebpf.NewProgramWithOptions(&spec, ebpf.ProgramOptions{LogDisabled: true})
	if err != nil {
		return nil, nil, errors.Join(notLoaded(err), release())
	}
	loaded := &trial{prog: prog, run: NewRun(prog.FD())}
	return loaded, func() { loaded.close(); _ = release() }, nil
}

// verdict is one that enacts nothing and raises no alarm where it is enacted.
func (t *probedType) verdict() int32 {
	if t.spec.Type == ebpf.XDP {
		return 1 // XDP_DROP
	}
	return 0
}

// notLoaded makes the errors that kernels give to programs and maps of which they do
// not know the type, a flag or a helper, a definite answer.
func notLoaded(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.E2BIG), errors.Is(err, ebpf.ErrNotSupported):
		return no(err)
	}
	why := Explain(err)
	if why == "" && errors.Is(err, unix.EPERM) {
		why = "; no capability is missing, so something else forbids it, such as lockdown, seccomp or a security module"
	}
	return fmt.Errorf("%w%s", err, why)
}

// legal runs the program with an input that the type accepts.
func (p *prober) legal(t *probedType, trial *trial) unix.Errno {
	trial.run.SetContext(t.context, nil)
	return trial.data(p.buf[:t.packet])
}

// ran is what the errno of a legal run says about the type.
func (t *probedType) ran(errno unix.Errno) error {
	if errno != 0 && errno == t.refused {
		return no(fmt.Errorf("BPF_PROG_RUN: %w", errno))
	}
	return answer("BPF_PROG_RUN", errno)
}

// sizes bisects the bounds of packets and contexts.
func (p *prober) sizes(t *probedType, trial *trial, found *TypeProbe) {
	switch {
	case t.spec.Type == ebpf.XDP:
		if l, err := MeasureLimits(ebpf.XDP); err == nil {
			found.Packet, found.Frags, found.Meta = Range{l.Min, l.Max}, l.Frags, l.Meta
		}
	case t.packet > 0:
		found.Packet = trial.packets(p.buf)
	case t.bare:
		found.Context.Max = lastGood(largest, func(n int) bool { return trial.context(p.buf[:n]) == 0 })
	default:
		found.Context.Max = len(t.context)
		found.Context.Min = len(t.context) - lastGood(len(t.context), func(n int) bool {
			return trial.context(t.context[:len(t.context)-n]) == 0
		})
	}
	if t.smallest != nil {
		found.MinIPv4, found.MinIPv6 = t.smallestOf(trial, unix.ETH_P_IP), t.smallestOf(trial, unix.ETH_P_IPV6)
	}
}

// smallestOf returns the smallest packet with that ethertype.
func (t *probedType) smallestOf(trial *trial, ethertype uint16) int {
	packet := newPacket(ethertype)
	trial.run.SetContext(t.smallest[ethertype], nil)
	return legalPacket - lastGood(legalPacket, func(n int) bool { return trial.data(packet[:legalPacket-n]) == 0 })
}

// newPacket returns a legal packet that is zero but for its ethertype.
func newPacket(ethertype uint16) []byte {
	packet := make([]byte, legalPacket)
	binary.BigEndian.PutUint16(packet[12:], ethertype)
	return packet
}
