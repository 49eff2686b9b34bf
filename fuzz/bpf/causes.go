package bpf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	events "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/trigger"
)

// cause makes the kernel pass a tracepoint on the calling thread. Its context, and
// its packet if it has one, are what the event carries and an input may choose.
type cause struct {
	size    int
	fields  []corpus.Field
	packet  corpus.Bounds
	payload bool
	// do has the kernel pass it. What its system calls return does not matter.
	do func(ctx []byte)
	// start does the same where something has to be there first; do is nil then.
	start func() (events.Trigger, error)
}

// causes lists the tracepoints that can be passed at will. Nothing outside of the
// thread and its private network namespace notices.
func causes() map[string]cause {
	all := map[string]cause{}
	for _, group := range []struct {
		cause cause
		names []string
	}{
		{renaming(), []string{"task_rename"}},
		{calling(), []string{"sys_enter", "sys_exit"}},
		{sleeping(), []string{"hrtimer_start", "sched_switch"}},
		{forking(), []string{"sched_process_fork", "sched_process_wait", "sched_wakeup_new", "task_newtask"}},
		{signalling(), []string{"signal_generate"}},
		{through(events.Connections()), []string{
			"inet_sock_set_state", "sk_data_ready", "sock_recv_length", "sock_send_length", "tcp_destroy_sock", "tcp_probe",
			"tcp_rcv_space_adjust", "tcp_receive_reset", "tcp_send_reset",
		}},
		{through(events.Frames()), []string{
			"consume_skb", "kfree_skb", "net_dev_queue", "net_dev_start_xmit", "net_dev_xmit", "netif_receive_skb",
		}},
	} {
		for _, name := range group.names {
			all[name] = group.cause
		}
	}
	return all
}

// through makes a cause of events that need sockets or devices.
func through(p events.Passing) cause {
	return cause{size: events.ContextSize, fields: p.Fields, packet: p.Packet, payload: p.Payload, start: p.Start}
}

// btfTracepointRow is of BTF tracepoints: BPF_PROG_RUN answers EFAULT, so they are
// attached, and the event is caused on the worker's thread. A gate in front of the
// program keeps the events of others out.
func btfTracepointRow() programType {
	return programType{
		kind: "tp_btf", fix: noFix,
		noPacket: true, result: noResult, needsContext: true, answer: noAnswer,
		special: specialCause, open: openCause, gated: true,
	}
}

func specialCause(row *programType, prog *ebpf.ProgramSpec) error {
	all := causes()
	c, ok := all[prog.AttachTo]
	if !ok {
		return fmt.Errorf("BPF_PROG_RUN answers EFAULT to BTF tracepoints, so the event has to be caused, which can be done for %s and not for %q; a raw_tp program of that tracepoint can be run with any arguments",
			strings.Join(slices.Sorted(maps.Keys(all)), ", "), prog.AttachTo)
	}
	row.contextSize, row.noPacket = c.size, c.packet.Max == 0
	row.context = func(int, *machine) []corpus.Field { return c.fields }
	row.cause = &c
	return nil
}

// openCause attaches the program behind its gate, and readies what causes its event.
func openCause(t *Target, inst *instance) error {
	if err := openTracing(t, inst); err != nil {
		return err
	}
	do, err := t.row.cause.ready(inst)
	if err != nil {
		return fmt.Errorf("causing the event of program %q: %w", t.program, err)
	}
	inst.cause = func(ctx, packet []byte) error {
		inst.gate.open()
		defer inst.gate.shut()
		return do(ctx, packet)
	}
	return nil
}

// ready makes what the cause needs, which the instance gives back, and returns how to
// cause an event.
func (c *cause) ready(inst *instance) (func(ctx, packet []byte) error, error) {
	if c.start == nil {
		return func(ctx, _ []byte) error { c.do(ctx); return nil }, nil
	}
	trigger, err := c.start()
	if err != nil {
		return nil, err
	}
	inst.also(trigger.Close)
	seen := &events.Seen{}
	return func(ctx, packet []byte) error { return trigger.Fire(ctx, packet, seen) }, nil
}
