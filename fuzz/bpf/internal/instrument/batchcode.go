package instrument

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// coder writes straight code with labels: what does not depend on the program
// around it. Its jumps are resolved by finish.
type coder struct {
	code   asm.Instructions
	labels map[string]int // index of the instruction behind the label
	jumps  map[int]string
	unique int
}

func newCoder() *coder { return &coder{labels: map[string]int{}, jumps: map[int]string{}} }

func (c *coder) add(code ...asm.Instruction) { c.code = append(c.code, code...) }

// label says that jumps to name lead here.
func (c *coder) label(name string) { c.labels[name] = len(c.code) }

// fresh returns a label that no other call returned.
func (c *coder) fresh() string {
	c.unique++
	return fmt.Sprintf("#%d", c.unique)
}

// jump goes to a label.
func (c *coder) jump(name string) {
	c.jumps[len(c.code)] = name
	c.add(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja)})
}

// when goes to a label if the register compares with the value.
func (c *coder) when(r asm.Register, op asm.JumpOp, value int32, name string) {
	c.jumps[len(c.code)] = name
	c.add(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: r, Constant: int64(value)})
}

// whenReg goes to a label if the registers compare.
func (c *coder) whenReg(r asm.Register, op asm.JumpOp, other asm.Register, name string) {
	c.jumps[len(c.code)] = name
	c.add(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: r, Src: other})
}

// finish fills in the distances.
func (c *coder) finish() asm.Instructions {
	offsets := make([]int, len(c.code)+1)
	for i := range c.code {
		offsets[i+1] = offsets[i] + int(c.code[i].Width())
	}
	for i, name := range c.jumps {
		target, ok := c.labels[name]
		if !ok {
			panic("instrument: a jump to label " + name + ", which is nowhere")
		}
		c.code[i].Offset = int16(offsets[target] - offsets[i+1])
	}
	return c.code
}
