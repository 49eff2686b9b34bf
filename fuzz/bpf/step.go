package bpf

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// step runs one step, as its type has it. The output packet goes to out; the output
// context is wanted where ctxOut is not nil, which has room for one.
func (e *executor) step(inst *instance, s *corpus.Step, o *corpus.StepOutcome, out, ctxOut []byte) error {
	inst.setChance(s.Chance)
	inst.setFault(s.Fault)
	inst.setPoison(s.Flags)
	if err := e.call(inst, s, o, out, ctxOut); err != nil {
		return err
	}
	o.Faulted = inst.faulted()
	inst.violated(o)
	return nil
}

// call runs the program.
func (e *executor) call(inst *instance, s *corpus.Step, o *corpus.StepOutcome, out, ctxOut []byte) error {
	if e.lab != nil {
		return e.lab.step(inst, s, o, e.withMeta(s), out)
	}
	ctx := e.contextOf(s, ctxOut != nil)
	if inst.cause != nil {
		*o = corpus.StepOutcome{}
		return inst.cause(ctx, s.Packet)
	}
	e.setData(inst, s, ctx, out)
	e.setContext(inst, ctx, ctxOut)
	inst.run.SetFlags(s.Flags&^corpus.OurFlags, uint32(s.CPU))
	inst.gate.open()
	errno := inst.run.Do()
	inst.gate.shut()
	if errno == unix.ENOSPC {
		return fmt.Errorf("running %s: its output of %d bytes is longer than the buffer of %d", e.target.program, inst.run.DataSize(), len(out))
	}
	*o = corpus.StepOutcome{Errno: errno, Duration: inst.run.Duration()}
	if errno == 0 {
		o.Ret = inst.run.Ret()
		e.takePacket(inst, s, o, out)
		e.takeContext(inst, o, ctxOut)
	}
	return nil
}

// contextOf returns the step's context, made legal. A context goes to the kernel
// only where the step has one, the type, the program or the step's metadata needs one,
// or its outcome is wanted: the call is cheaper without. Otherwise it is nil.
func (e *executor) contextOf(s *corpus.Step, wanted bool) []byte {
	row := &e.target.row
	if len(s.Context) == 0 && len(s.Meta) == 0 && !row.needsContext && !e.always && !wanted || len(e.ctx) == 0 {
		return nil
	}
	n := copy(e.ctx, s.Context)
	clear(e.ctx[n:])
	row.fixContext(e.target.shape, e.ctx, s.Packet, len(s.Meta))
	if s.Flags&corpus.InPieces != 0 && e.target.shape.Pieces && len(s.Packet) > corpus.FirstPiece {
		putInteger(e.ctx[xdpOffDataEnd:xdpOffDataEnd+4], uint64(len(s.Meta)+corpus.FirstPiece), false)
	}
	return e.ctx
}

// setData sets data_in, which begins behind the Ethernet header for some contexts,
// and data_out.
func (e *executor) setData(inst *instance, s *corpus.Step, ctx, out []byte) {
	row := &e.target.row
	if row.noPacket {
		inst.run.SetData(nil, nil)
		return
	}
	if row.result == noResult {
		out = nil
	}
	inst.run.SetData(e.dataOf(s, ctx), out)
}

// dataOf returns what data_in is for the step in that context.
func (e *executor) dataOf(s *corpus.Step, ctx []byte) []byte {
	data := e.withMeta(s)
	if row := &e.target.row; row.headerless != nil && row.headerless(ctx) {
		data = data[min(ethernet, len(data)):]
	}
	return data
}

// withMeta returns the packet with its metadata before it.
func (e *executor) withMeta(s *corpus.Step) []byte {
	if len(s.Meta) == 0 {
		return s.Packet
	}
	return append(append(e.data[:0], s.Meta...), s.Packet...)
}

func (e *executor) setContext(inst *instance, ctx, ctxOut []byte) {
	if inst.passing != nil {
		ctx = inst.passing.pass(ctx)
	}
	if e.target.row.answer != copiedAnswer {
		ctxOut = nil
	}
	inst.run.SetContext(ctx, ctxOut)
}

func (e *executor) takePacket(inst *instance, s *corpus.Step, o *corpus.StepOutcome, out []byte) {
	row := &e.target.row
	switch row.result {
	case packetResult:
		o.Packet = out[:inst.run.DataSize()]
		unhide(o.Packet, s.Packet, row.hidden)
	case keysResult:
		o.Packet = out[:inst.run.DataSize()]
		o.Context = o.Packet
	}
}

// takeContext gives the outcome a context where one is wanted.
func (e *executor) takeContext(inst *instance, o *corpus.StepOutcome, ctxOut []byte) {
	if ctxOut == nil {
		return
	}
	switch e.target.row.answer {
	case copiedAnswer:
		o.Context = ctxOut[:inst.run.ContextSize()]
	case inPlace:
		if inst.passing != nil {
			o.Context = inst.passing.answer(ctxOut[:0], e.ctx)
			return
		}
		o.Context = ctxOut[:copy(ctxOut, e.ctx)]
	}
}
