package trigger

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// more is a bit of sk_msg's flags: the pieces are sent with MSG_MORE.
const more = 1

// skMsg sends messages from a socket that is in a socket map.
func skMsg() Kind {
	return Kind{
		Name:  "sk_msg",
		Event: "bytes that a TCP socket in a socket map sends, in pieces",
		Fields: sorted(append(connected(), piecesField(), corpus.Field{
			Name: "flags", Offset: atFlags, Size: 1, Max: more, Values: []uint64{0, more},
		})),
		Packet: corpus.Bounds{Min: 1, Max: maxStream}, Payload: true,
		Verdicts: verdicts("SK_DROP", "SK_PASS"),
		Start: func(p Program) (Trigger, error) {
			s, err := newStreams(p)
			if err != nil {
				return nil, err
			}
			if err := s.attach(p.Program, ebpf.AttachSkMsgVerdict); err != nil {
				return nil, errors.Join(err, s.Close())
			}
			return &msgTrigger{s}, nil
		},
	}
}

// msgTrigger is the trigger of sk_msg programs.
type msgTrigger struct{ *streams }

// Fire implements Trigger. Errno is that of the first send that failed, Packet what
// arrived and Socket where: 0 the sender, which has key 0, 1 its peer, 2 the socket
// with key 1, 3 its peer.
func (t *msgTrigger) Fire(context, packet []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	defer closeAll(t.ends[:])
	var err error
	if seen.Errno, err = t.open(context); err != nil || seen.Errno != 0 {
		return err
	}
	flags := 0
	if context[atFlags]&more != 0 {
		flags = unix.MSG_MORE
	}
	for piece := range pieces(packet, max(int(context[atCount]), 1)) {
		if seen.Errno = t.ends[near].send(piece, flags); seen.Errno != 0 {
			break
		}
	}
	// All is delivered within send, but for what the program or MSG_MORE holds back.
	limit := moment
	if seen.Errno != 0 || flags != 0 {
		limit = 0
	}
	t.collect(len(packet), limit, seen)
	return nil
}

// Close implements Trigger.
func (t *msgTrigger) Close() error {
	closeAll(t.ends[:])
	return errors.Join(t.detach(t.program.Program, ebpf.AttachSkMsgVerdict), t.streams.Close())
}
