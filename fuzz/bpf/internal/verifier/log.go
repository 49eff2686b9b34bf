// Package verifier reads the log of the kernel's verifier: what verifying a program
// cost, and, at log level 2, which values the verifier claims that registers have.
// The text is no interface of the kernel: whatever is not known is an error, upon
// which a caller does without.
package verifier

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrFormat is wrapped by errors about logs that this package cannot read.
var ErrFormat = errors.New("the verifier's log has a format that is not known")

// Registers is how many registers may hold a number; the last of all, r10, never does.
const Registers = 10

// Edge is a way from one instruction to another that may follow it. Instructions are
// counted in slots of 8 bytes from the start of the program.
type Edge struct{ From, To int }

// Claims are about the registers on an edge, as all paths over it have them that the
// verifier followed.
type Claims struct {
	// Known has a bit for each register of which each of those paths says that it is a
	// number within Bounds.
	Known uint16
	// Address has a bit for each of which they all say that it is something else.
	Address uint16
	Bounds  [Registers]Bounds
}

// Log is what a log at level 2 says of a program.
type Log struct {
	Stats Stats
	Edges map[Edge]*Claims
	// Pruned are the instructions at which the verifier gave a path up because it had
	// been there in a state that covers the path's.
	Pruned map[int]bool
	// Opcodes are the first bytes of the instructions that were followed.
	Opcodes map[int]byte
}

// reader follows the paths of a log.
type reader struct {
	log   *Log
	steps int // instructions that were looked at
	at    int // the last one on this path, -1 where a path begins
	// said has the registers of which the state behind at is known.
	said Claims
}

// Read reads a log at level 2. The error wraps ErrFormat.
func Read(text string) (*Log, error) {
	stats, err := ReadStats(text)
	if err != nil {
		return nil, err
	}
	r := &reader{log: &Log{Stats: *stats, Edges: map[Edge]*Claims{}, Pruned: map[int]bool{}, Opcodes: map[int]byte{}}, at: -1}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if err := r.line(line); err != nil {
			return nil, fmt.Errorf("%w: line %q: %w", ErrFormat, shorten(line), err)
		}
	}
	if r.steps != stats.Processed {
		return nil, fmt.Errorf("%w: it shows %d instructions, and says that %d were looked at", ErrFormat, r.steps, stats.Processed)
	}
	return r.log, nil
}

// shorten keeps messages to a line of some length.
func shorten(line string) string {
	const most = 120
	if len(line) > most {
		return line[:most] + "..."
	}
	return line
}

// line reads one line. Those that begin with a number or with "from" tell of paths;
// all others are about something else: source lines, lists of functions, and how
// precision is traced back.
func (r *reader) line(line string) error {
	if rest, ok := strings.CutPrefix(line, "from "); ok {
		return r.from(rest)
	}
	if line == "" || line[0] < '0' || line[0] > '9' {
		return nil
	}
	number, rest, ok := strings.Cut(line, ":")
	if !ok {
		return nil
	}
	at, err := strconv.Atoi(number)
	if err != nil {
		return nil // a line of a list: "0-3: ..."
	}
	rest = strings.TrimPrefix(rest, " ")
	switch {
	case rest == "safe":
		r.steps++
		r.arrive(at)
		r.log.Pruned[at], r.at = true, -1
		return nil
	case strings.HasPrefix(rest, "("):
		r.steps++
		r.arrive(at)
		return r.instruction(at, rest)
	}
	return r.read(rest)
}

// instruction reads "(b7) r1 = 0", behind which the state may be.
func (r *reader) instruction(at int, text string) error {
	if len(text) < len("(b7)") || text[3] != ')' {
		return errors.New("there is no opcode")
	}
	op, err := strconv.ParseUint(text[1:3], 16, 8)
	if err != nil {
		return fmt.Errorf("there is no opcode: %w", err)
	}
	if have, ok := r.log.Opcodes[at]; ok && have != byte(op) {
		return fmt.Errorf("the instruction was %#02x before", have)
	}
	r.log.Opcodes[at], r.at, r.said = byte(op), at, Claims{}
	if _, state, ok := strings.Cut(text, " ; "); ok {
		return r.read(state)
	}
	return nil
}

// from reads "5 to 9: R0=1", how a path begins: from one of two ways behind a jump, or
// behind a function's end.
func (r *reader) from(text string) error {
	head, rest, ok := strings.Cut(text, ":")
	first, second, both := strings.Cut(head, " to ")
	if !ok || !both {
		return errors.New("it does not say from where to where")
	}
	second, speculative := strings.CutSuffix(second, " (speculative execution)")
	if speculative {
		return errors.New("paths that a processor takes by mistake are among those of the program: load it with CAP_PERFMON")
	}
	from, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("it does not say from where: %w", err)
	}
	to, err := strconv.Atoi(second)
	if err != nil {
		return fmt.Errorf("it does not say to where: %w", err)
	}
	r.at, r.said = from, Claims{}
	rest = strings.TrimPrefix(rest, " ")
	if rest == "safe" {
		r.steps++
		r.arrive(to)
		r.log.Pruned[to], r.at = true, -1
		return nil
	}
	return r.read(rest)
}

// arrive notes what is known on the edge to an instruction.
func (r *reader) arrive(at int) {
	if r.at < 0 {
		return
	}
	edge := Edge{r.at, at}
	c := r.log.Edges[edge]
	if c == nil {
		said := r.said
		r.log.Edges[edge] = &said
		return
	}
	c.Join(&r.said)
}

// Join makes c what is true on the paths of both.
func (c *Claims) Join(o *Claims) {
	c.Known &= o.Known
	c.Address &= o.Address
	for i := range c.Bounds {
		if c.Known&(1<<i) != 0 {
			c.Bounds[i] = c.Bounds[i].Join(o.Bounds[i])
		}
	}
}

// read reads the state of a function's registers: "frame1: R0=1 R1_w=scalar(umax=5)
// fp-8=0". What was said before of the same registers is older.
func (r *reader) read(text string) error {
	for text != "" {
		var word string
		word, text = cutWord(text)
		if err := r.word(word); err != nil {
			return err
		}
	}
	return nil
}

// word reads "R1_w=5"; all but registers is of no interest.
func (r *reader) word(word string) error {
	name, value, ok := strings.Cut(word, "=")
	if !ok || len(name) < 2 || name[0] != 'R' {
		return nil
	}
	name, _, _ = strings.Cut(name[1:], "_") // how it was used so far, in older logs
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || n > Registers {
		return fmt.Errorf("%q is no register", word)
	}
	if n == Registers {
		return nil
	}
	b, isNumber, err := parseScalar(value)
	if err != nil {
		return err
	}
	bit := uint16(1) << n
	r.said.Known, r.said.Address = r.said.Known&^bit, r.said.Address&^bit
	if !isNumber {
		r.said.Address |= bit
		return nil
	}
	r.said.Known |= bit
	r.said.Bounds[n] = b
	return nil
}

// cutWord returns what comes before the next space outside of parentheses, and what
// behind it.
func cutWord(s string) (word, rest string) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ' ':
			if depth == 0 {
				return s[:i], strings.TrimLeft(s[i:], " ")
			}
		}
	}
	return s, ""
}
