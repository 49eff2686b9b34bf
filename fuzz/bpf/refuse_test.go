package bpf

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Every type that bpftool knows is run in some way or refused with an error that
// names it, what the kernel answers, and what would be needed. Where this kernel
// loads the program, it has to give that answer.
func TestEveryTypeRunsOrSaysWhyNot(t *testing.T) {
	const runs = ""
	for _, tt := range []struct {
		name   string // bpftool's
		typ    ebpf.ProgramType
		attach ebpf.AttachType
		want   string // part of the error besides the type
	}{
		{"socket", ebpf.SocketFilter, 0, runs},
		{"kprobe", ebpf.Kprobe, 0, "the probed function is called"},
		{"kretprobe", ebpf.Kprobe, 0, "the probed function is called"},
		{"classifier", ebpf.SchedCLS, 0, runs},
		{"action", ebpf.SchedACT, 0, runs},
		{"tracepoint", ebpf.TracePoint, 0, "raw_tp"},
		{"raw_tracepoint", ebpf.RawTracepoint, 0, runs},
		{"raw_tracepoint_writable", ebpf.RawTracepointWritable, 0, "raw_tp"},
		{"xdp", ebpf.XDP, 0, runs},
		{"perf_event", ebpf.PerfEvent, 0, "counter overflows"},
		{"cgroup/skb", ebpf.CGroupSKB, 0, runs},
		{"cgroup_skb/ingress", ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, runs},
		{"cgroup_skb/egress", ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, runs},
		{"cgroup/sock", ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate, runs},
		{"cgroup/sock_release", ebpf.CGroupSock, ebpf.AttachCgroupInetSockRelease, runs},
		{"cgroup/post_bind4", ebpf.CGroupSock, ebpf.AttachCGroupInet4PostBind, runs},
		{"cgroup/post_bind6", ebpf.CGroupSock, ebpf.AttachCGroupInet6PostBind, runs},
		{"cgroup/bind4", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Bind, runs},
		{"cgroup/bind6", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet6Bind, runs},
		{"cgroup/connect6", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet6Connect, runs},
		{"cgroup/getpeername4", ebpf.CGroupSockAddr, ebpf.AttachCgroupInet4GetPeername, runs},
		{"cgroup/getpeername6", ebpf.CGroupSockAddr, ebpf.AttachCgroupInet6GetPeername, runs},
		{"cgroup/getsockname4", ebpf.CGroupSockAddr, ebpf.AttachCgroupInet4GetSockname, runs},
		{"cgroup/getsockname6", ebpf.CGroupSockAddr, ebpf.AttachCgroupInet6GetSockname, runs},
		{"cgroup/sendmsg4", ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Sendmsg, runs},
		{"cgroup/sendmsg6", ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP6Sendmsg, runs},
		{"cgroup/recvmsg4", ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Recvmsg, runs},
		{"cgroup/recvmsg6", ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP6Recvmsg, runs},
		{"cgroup/dev", ebpf.CGroupDevice, ebpf.AttachCGroupDevice, "opens a device"},
		{"lwt_in", ebpf.LWTIn, 0, runs},
		{"lwt_out", ebpf.LWTOut, 0, runs},
		{"lwt_xmit", ebpf.LWTXmit, 0, runs},
		{"lwt_seg6local", ebpf.LWTSeg6Local, 0, runs},
		{"sockops", ebpf.SockOps, ebpf.AttachCGroupSockOps, runs},
		{"sk_skb", ebpf.SkSKB, 0, runs},
		{"sk_msg", ebpf.SkMsg, ebpf.AttachSkMsgVerdict, runs},
		{"lirc_mode2", ebpf.LircMode2, ebpf.AttachLircMode2, "infrared"},
		{"cgroup/connect4", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, runs},
		{"cgroup/connect_unix", ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixConnect, "no trigger"},
		{"cgroup/sysctl", ebpf.CGroupSysctl, ebpf.AttachCGroupSysctl, "sysctl"},
		{"cgroup/getsockopt", ebpf.CGroupSockopt, ebpf.AttachCGroupGetsockopt, "getsockopt"},
		{"cgroup/setsockopt", ebpf.CGroupSockopt, ebpf.AttachCGroupSetsockopt, "setsockopt"},
		{"struct_ops", ebpf.StructOps, 0, runs},
		{"fentry", ebpf.Tracing, ebpf.AttachTraceFEntry, runs},
		{"fexit", ebpf.Tracing, ebpf.AttachTraceFExit, runs},
		{"fmod_ret", ebpf.Tracing, ebpf.AttachModifyReturn, runs},
		{"tp_btf", ebpf.Tracing, ebpf.AttachTraceRawTp, runs},
		{"iter", ebpf.Tracing, ebpf.AttachTraceIter, "EFAULT"},
		{"freplace", ebpf.Extension, 0, "another program"},
		{"lsm", ebpf.LSM, ebpf.AttachLSMMac, "security hook"},
		{"sk_reuseport", ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, runs},
		{"flow_dissector", ebpf.FlowDissector, ebpf.AttachFlowDissector, runs},
		{"sk_lookup", ebpf.SkLookup, ebpf.AttachSkLookup, runs},
		{"netfilter", ebpf.Netfilter, ebpf.AttachNetfilter, runs},
		{"syscall", ebpf.Syscall, 0, runs},
		{"unspec", ebpf.UnspecifiedProgram, 0, "name the section"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			prog := &ebpf.ProgramSpec{Name: "prog", Type: tt.typ, AttachType: tt.attach, SectionName: "s", License: "GPL"}
			row, err := typeOf(prog)
			if tt.want == runs {
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s is supported", row.kind)
				return
			}
			kind, answer, _ := unrunnable(prog)
			if err == nil {
				t.Fatalf("taken as %s", row.kind)
			}
			for _, part := range []string{"type " + kind, answer, tt.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not say %q", err, part)
				}
			}
			if strings.Contains(answer, notRun) {
				checkNotRun(t, prog)
			}
		})
	}
}

// checkNotRun has the kernel run a program that does nothing.
func checkNotRun(t *testing.T, spec *ebpf.ProgramSpec) {
	t.Helper()
	needKernel(t)
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}
	prog, err := ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogDisabled: true})
	if err != nil {
		t.Logf("this kernel does not load it: %v", err)
		return
	}
	defer prog.Close()
	run := kernel.NewRun(prog.FD())
	run.SetData(make([]byte, 64), nil)
	if errno := run.Do(); !errors.Is(errno, enotsupp) && !errors.Is(errno, unix.EOPNOTSUPP) {
		t.Errorf("BPF_PROG_RUN answers %v, the error says ENOTSUPP", errno)
	}
}

// A .struct_ops section, which the reader of objects does not know, is told from an
// object that is malformed.
func TestStructOpsSection(t *testing.T) {
	_, err := Open("testdata/types/struct_ops_old.o")
	if err == nil || !strings.Contains(err.Error(), ".struct_ops.link") {
		t.Errorf("%v does not say which section to use instead", err)
	}
}
