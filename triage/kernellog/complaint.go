package kernellog

import (
	"fmt"
	"strings"
)

// Complaint is what the kernel says of one thing that is wrong with it.
type Complaint struct {
	// Kind is one of the kinds, Harm the worst that its lines say.
	Kind string
	Harm Harm
	// Head is the line that says what is wrong.
	Head string
	// Where is the kernel's function in which it was noticed; "" where that is not told.
	Where string
	// Lines are all of them without times and levels, those in front of Head included, and
	// without what others logged between them. There are at most maxLines.
	Lines []string

	traced bool // lockdep's own trace begins, behind those of others
}

// maxLines bounds the lines of a complaint: those of KASAN, the longest, have about 90.
const maxLines = 160

// String says in a line what is wrong, without what differs between one run and the next:
// the processor, the process, and numbers that are addresses.
func (c *Complaint) String() string {
	if c.Where == "" {
		return fmt.Sprintf("%s: %s", c.Kind, steady(c.Head))
	}
	return fmt.Sprintf("%s in %s: %s", c.Kind, c.Where, steady(c.Head))
}

// steady replaces in a line what is another in each run.
func steady(line string) string {
	words := strings.Fields(line)
	out := words[:0]
	for i := 0; i < len(words); i++ {
		word, next := words[i], ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch {
		case word == "CPU:" || word == "PID:":
			i++ // the number behind it
		case strings.HasPrefix(word, "CPU#") && strings.Contains(next, "/"): // "CPU#1: fuzz/812"
			i++
		case isProcessor(word):
			out = append(out, "CPU")
		case strings.EqualFold(word, "cpu") && isNumber(next):
			out, i = append(out, word), i+1
		case isAddress(word):
			out = append(out, "ADDRESS")
		case strings.HasPrefix(word, "[") && strings.Contains(word, ":"), strings.HasPrefix(word, "[#"):
			// "[fuzz:812]" and "[#1]"
		default:
			out = append(out, withoutOffset(withoutProcess(word)))
		}
	}
	return strings.TrimRight(strings.Join(out, " "), ",: ")
}

// isProcessor reports whether a word is "CPU1:" or "CPU#1".
func isProcessor(word string) bool {
	number, ok := strings.CutPrefix(strings.TrimRight(word, ":,"), "CPU")
	return ok && isNumber(strings.TrimPrefix(number, "#"))
}

// withoutProcess makes "fuzz:812" a name, and "26s!", how long something lasts, a word. Places
// such as "core.c:1723" stay.
func withoutProcess(word string) string {
	if duration, ok := strings.CutSuffix(strings.TrimRight(word, "!"), "s"); ok && isNumber(duration) {
		return "long"
	}
	if at := strings.LastIndexByte(word, ':'); at > 0 && isNumber(word[at+1:]) && !strings.Contains(word[:at], ".") {
		return word[:at]
	}
	return word
}

func isNumber(word string) bool {
	return strings.Trim(word, "0123456789") == "" && word != ""
}

func isAddress(word string) bool {
	word = strings.TrimRight(word, ":,.")
	digits, prefixed := strings.CutPrefix(word, "0x")
	if !prefixed && len(digits) < 16 {
		return false
	}
	return len(digits) >= 8 && strings.Trim(digits, "0123456789abcdef") == ""
}

// withoutOffset makes "reg_bounds_sanity_check+0x1f4/0x210" its name.
func withoutOffset(word string) string {
	name, offset, ok := strings.Cut(word, "+0x")
	if !ok || !strings.Contains(offset, "/0x") {
		return word
	}
	return name
}

// add takes a line that belongs to the complaint.
func (c *Complaint) add(line string) {
	if len(c.Lines) < maxLines {
		c.Lines = append(c.Lines, line)
	}
	if c.Where == "" && (c.Kind != KindLockdep || c.traced) {
		c.Where = whereOf(line)
	}
	c.traced = c.traced || line == "stack backtrace:"
}

// whereOf returns the function that a line of a complaint names: behind the place of a head,
// in the instruction pointer, or in the first entry of a call trace that is certain.
func whereOf(line string) string {
	text := strings.TrimSpace(line)
	for _, register := range []string{"RIP: ", "pc : "} {
		if at, ok := strings.CutPrefix(text, register); ok {
			at = strings.TrimPrefix(at, "0010:") // the kernel's code segment
			return symbol(at)
		}
	}
	switch {
	case headOf(line) != nil:
		words := strings.Fields(text)
		for i := len(words) - 1; i >= 0; i-- {
			if name := symbol(words[i]); name != "" {
				return name
			}
		}
	case text != line && !strings.HasPrefix(text, "?") && !machinery(text):
		return symbol(text)
	}
	return ""
}

// machinery reports whether an entry of a call trace is about printing it.
func machinery(entry string) bool {
	for _, name := range []string{
		"dump_stack", "show_stack", "print_report", "print_address_description", "kasan_", "__asan_", "__warn", "report_bug",
		"handle_bug", "exc_", "asm_exc_", "ubsan_", "__ubsan_", "die", "__die", "page_fault_oops", "dump_backtrace", "check_preemption_disabled",
		"__might_resched", "__might_sleep", "__schedule", "schedule", "preempt_schedule", "lock_acquire", "__lock_acquire", "_raw_spin_",
	} {
		if strings.HasPrefix(entry, name) {
			return true
		}
	}
	return false
}

// symbol returns the name of "bpf_skb_load_bytes+0x6a/0xd0", "" for anything else.
func symbol(text string) string {
	word, _, _ := strings.Cut(text, " ")
	name := withoutOffset(strings.TrimRight(word, ",:"))
	if name == strings.TrimRight(word, ",:") || strings.HasPrefix(name, "0x") {
		return ""
	}
	name, _, _ = strings.Cut(name, ".") // parts that the compiler split off: ".cold", ".isra.0"
	return name
}
