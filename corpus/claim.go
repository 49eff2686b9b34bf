package corpus

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Claim is what the verifier takes the value of a register for, behind an instruction,
// in every run of the program.
type Claim struct {
	// Func is the function's name, Insn the instruction's offset in slots of 8 bytes from
	// its start, and Text the instruction as the verifier writes it.
	Func string
	Insn int
	Text string
	// Taken says that the claim is about runs in which the instruction jumps.
	Taken bool
	// Pos is where the instruction comes from; zero when the object does not say.
	Pos cover.Pos
	// Register is the register's name, Value what is claimed: "umax=0xff".
	Register, Value string
}

// String names the place and what is claimed there.
func (c *Claim) String() string {
	at := ""
	if pos := c.Pos.String(); pos != "" {
		at = " (" + pos + ")"
	}
	way := "behind"
	if c.Taken {
		way = "where the jump is taken of"
	}
	return fmt.Sprintf("%s instruction %d of %s%s, %s, the verifier takes %s for %s", way, c.Insn, c.Func, at, c.Text, c.Register, c.Value)
}
