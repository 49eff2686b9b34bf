package trigger

import (
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// skSKB sends a stream of bytes to a socket that is in a socket map.
func skSKB(attach ebpf.AttachType) Kind {
	k := Kind{
		Name:   "sk_skb",
		Event:  "bytes that arrive, in pieces, at a TCP socket in a socket map",
		Fields: sorted(append(connected(), piecesField())),
		Packet: corpus.Bounds{Min: 1, Max: maxStream}, Payload: true,
		Start: func(p Program) (Trigger, error) { return startSKB(p, attach) },
	}
	if attach != ebpf.AttachSkSKBStreamParser {
		k.Verdicts = verdicts("SK_DROP", "SK_PASS")
	}
	return k
}

// skbTrigger is the trigger of sk_skb programs.
type skbTrigger struct {
	*streams
	attachAs ebpf.AttachType
	pass     *ebpf.Program // the verdict where the program is a parser
}

func startSKB(p Program, attach ebpf.AttachType) (t *skbTrigger, err error) {
	if attach != ebpf.AttachSkSKBStreamParser && attach != ebpf.AttachSkSKBVerdict {
		attach = ebpf.AttachSkSKBStreamVerdict
	}
	t = &skbTrigger{attachAs: attach}
	if t.streams, err = newStreams(p); err != nil {
		return nil, err
	}
	if err = t.attach(p.Program, attach); err == nil && attach == ebpf.AttachSkSKBStreamParser {
		err = t.addVerdict()
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// addVerdict attaches what a parser alone would not run without.
func (t *skbTrigger) addVerdict() (err error) {
	t.pass, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SkSKB, AttachType: ebpf.AttachSkSKBStreamVerdict, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("loading a program that lets streams pass: %w", err)
	}
	return t.attach(t.pass, ebpf.AttachSkSKBStreamVerdict)
}

// Fire implements Trigger. Errno is that of send, Packet what arrived and Socket
// where: 0 the socket with key 0, to which the bytes were sent, 1 its peer, 2 the
// socket with key 1, 3 its peer.
func (t *skbTrigger) Fire(context, packet []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	defer closeAll(t.ends[:])
	var err error
	if seen.Errno, err = t.open(context); err != nil || seen.Errno != 0 {
		return err
	}
	for piece := range pieces(packet, max(int(context[atCount]), 1)) {
		if seen.Errno = t.ends[far].send(piece, 0); seen.Errno != 0 {
			break
		}
	}
	limit := patience // redirected data goes through a kernel thread
	if t.pass != nil {
		limit = 0
	}
	t.collect(len(packet), limit, seen)
	return nil
}

// Close implements Trigger.
func (t *skbTrigger) Close() error {
	closeAll(t.ends[:])
	err := t.detach(t.program.Program, t.attachAs)
	if t.pass != nil {
		err = errors.Join(err, t.detach(t.pass, ebpf.AttachSkSKBStreamVerdict), t.pass.Close())
	}
	return errors.Join(err, t.streams.Close())
}
