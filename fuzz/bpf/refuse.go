package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// notRun is what BPF_PROG_RUN answers to types that it does not run.
const notRun = "BPF_PROG_RUN answers ENOTSUPP (524)"

// refuse returns the error for a program whose type cannot be run: the type, what
// the kernel answers, and what would be needed.
func refuse(prog *ebpf.ProgramSpec) error {
	kind, answer, needed := unrunnable(prog)
	return fmt.Errorf("program %q has type %s, which cannot be run: %s; %s", prog.Name, kind, answer, needed)
}

// unrunnable says why a type is not run and what would make its programs run. Kind is
// the type as bpftool prints it.
func unrunnable(prog *ebpf.ProgramSpec) (kind, answer, needed string) {
	event := func(what string) string { return "it runs only when " + what }
	switch prog.Type {
	case ebpf.UnspecifiedProgram:
		return "unspec", fmt.Sprintf("section %q says nothing of a type", prog.SectionName),
			`name the section as libbpf does, such as "xdp" or "tc"`
	case ebpf.Kprobe:
		return "kprobe", notRun, event("the probed function is called; tp_btf and raw_tp programs can be run with arguments of choice")
	case ebpf.TracePoint:
		return "tracepoint", notRun, event("the tracepoint is passed; the same program as raw_tp can be run with arguments of choice")
	case ebpf.PerfEvent:
		return "perf_event", notRun, event("a performance counter overflows")
	case ebpf.RawTracepointWritable:
		return "raw_tracepoint_writable", notRun, "load it as raw_tp where it does not write its arguments"
	case ebpf.LSM:
		return "lsm", notRun, event("the kernel asks a security hook; the kernel has to have lsm=bpf, and some refuse to load such programs (EPERM)")
	case ebpf.Extension:
		return "ext", notRun, "build what it replaces with it and fuzz the whole program: an extension is a function of another program"
	case ebpf.Tracing:
		return "tracing", fmt.Sprintf("BPF_PROG_RUN answers EFAULT to attach type %s", prog.AttachType),
			"fentry, fexit, fmod_ret and tp_btf are run; an iterator runs only when its file is read"
	case ebpf.LircMode2:
		return "lirc_mode2", notRun, event("an infrared receiver has a pulse, and this needs such a device")
	}
	if kind, needed := trigger(prog.Type); kind != "" {
		return kind, answerTo(prog), event(needed)
	}
	return prog.Type.String(), "this kind of program is not known here", "see docs/program-types.md for those that are"
}

// answerTo says what the kernel answers for types of which some are triggered.
func answerTo(prog *ebpf.ProgramSpec) string {
	if prog.AttachType == ebpf.AttachNone {
		return notRun
	}
	return fmt.Sprintf("%s, and it is attached as %s, for which there is no trigger", notRun, prog.AttachType)
}

// trigger names the event that types of cgroups run on.
func trigger(t ebpf.ProgramType) (kind, event string) {
	switch t {
	case ebpf.CGroupSock:
		return "cgroup_sock", "a socket is made, bound or released in its cgroup"
	case ebpf.CGroupSockAddr:
		return "cgroup_sock_addr", "a socket in its cgroup is bound, connected or sends"
	case ebpf.CGroupDevice:
		return "cgroup_device", "a task in its cgroup opens a device"
	case ebpf.CGroupSysctl:
		return "cgroup_sysctl", "a task in its cgroup reads or writes a sysctl"
	case ebpf.CGroupSockopt:
		return "cgroup_sockopt", "a task in its cgroup calls getsockopt or setsockopt"
	}
	return "", ""
}
