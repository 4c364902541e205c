package wire

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"ssmrun"
)

// MaxReplyBytes bounds the payload of an agent_job_reply frame. A longer one is
// never taken: it would be repeated in vain, and the command would seem to run
// for ever.
const MaxReplyBytes = 120_000

// ErrReplyTooLarge is what FitReply returns where a reply has no output left to
// cut.
var ErrReplyTooLarge = errors.New("reply is too large")

// NewAgentJobReply packs a reply for a job, its outputs cut where it would not
// fit into MaxReplyBytes. topic is TopicSendCommand or TopicCancelCommand.
func NewAgentJobReply(jobID, topic string, r Reply) (AgentJobReply, error) {
	_, packed, err := fit(jobID, topic, r)
	return packed, err
}

// FitReply returns the reply with its outputs cut such that NewAgentJobReply
// needs not cut: as long as it would not fit, the longest of standardOutput,
// standardError, output and documentTraceOutput lose their ends evenly and get
// the mark of a cut stream. Length is counted as the bytes on the wire: a NUL
// takes seven, a line end three, since a reply is JSON within JSON. The reply
// given is not changed.
//
// Over long polls there is only one layer of JSON, so what fits here fits there.
func FitReply(jobID, topic string, r Reply) (Reply, error) {
	fitted, _, err := fit(jobID, topic, r)
	return fitted, err
}

func fit(jobID, topic string, r Reply) (Reply, AgentJobReply, error) {
	packed, size, err := pack(jobID, topic, r)
	if err != nil || size <= MaxReplyBytes {
		return r, packed, err
	}
	cut, texts := detach(r)
	total := 0
	costs := make([]int, len(texts))
	for i, t := range texts {
		costs[i] = wireCost(*t.text)
		total += costs[i]
	}
	budget := MaxReplyBytes - (size - total)
	for budget >= 0 {
		level := waterLevel(costs, budget)
		for i, t := range texts {
			if costs[i] > level {
				*t.text = cutToCost(t.full, level)
			}
			t.put()
		}
		if packed, size, err = pack(jobID, topic, *cut); err != nil || size <= MaxReplyBytes {
			return *cut, packed, err
		}
		budget -= size - MaxReplyBytes
	}
	return Reply{}, AgentJobReply{}, fmt.Errorf("%w: %d plugins without their outputs take more than %d bytes",
		ErrReplyTooLarge, len(r.RuntimeStatus), MaxReplyBytes)
}

// pack makes the payload of the frame and tells how many bytes it takes.
func pack(jobID, topic string, r Reply) (AgentJobReply, int, error) {
	content, err := Marshal(r)
	if err != nil {
		return AgentJobReply{}, 0, fmt.Errorf("encode reply: %w", err)
	}
	packed := AgentJobReply{SchemaVersion: 1, JobID: jobID, Content: string(content), Topic: topic}
	payload, err := Marshal(packed)
	if err != nil {
		return AgentJobReply{}, 0, fmt.Errorf("encode reply: %w", err)
	}
	return packed, len(payload), nil
}

// text is one output that may be cut. A map's values have no address, so put
// writes the plugin back.
type text struct {
	text *string
	full string
	put  func()
}

// detach copies the reply and lists its outputs, in a fixed order.
func detach(r Reply) (*Reply, []text) {
	texts := []text{{&r.DocumentTraceOutput, r.DocumentTraceOutput, func() {}}}
	plugins := r.RuntimeStatus
	if plugins != nil {
		r.RuntimeStatus = make(map[string]PluginStatus, len(plugins))
	}
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		p := plugins[name]
		put := func() { r.RuntimeStatus[name] = p }
		put()
		for _, s := range []*string{&p.Output, &p.StandardOutput, &p.StandardError} {
			texts = append(texts, text{s, *s, put})
		}
	}
	return &r, texts
}

// waterLevel is the highest level such that costs cut down to it sum up to no
// more than budget.
func waterLevel(costs []int, budget int) int {
	sorted := slices.Sorted(slices.Values(costs))
	for i, c := range sorted {
		share := budget / (len(sorted) - i)
		if c > share {
			return share
		}
		budget -= c
	}
	return sorted[len(sorted)-1]
}

// cutToCost keeps the head of s and the mark of a cut stream in at most limit
// bytes on the wire; nothing where not even the mark fits. A mark that s ends in
// is always cut off whole: what stays is shorter by at least the new one.
func cutToCost(s string, limit int) string {
	limit -= len(ssmrun.MarkStream)
	if limit < 0 {
		return ""
	}
	n := 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if limit -= runeCost(r, size); limit < 0 {
			break
		}
		n += size
	}
	return s[:n] + ssmrun.MarkStream
}

// wireCost is the bytes that s takes within the payload of an agent_job_reply.
func wireCost(s string) int {
	n := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		n += runeCost(r, size)
		i += size
	}
	return n
}

// runeCost counts a character that is escaped for the reply and again for the
// payload around it: every backslash of the first escape doubles.
func runeCost(r rune, size int) int {
	switch {
	case r == '"', r == '\\':
		return 4
	case r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
		return 3
	case r < 0x20, r == '\u2028', r == '\u2029', r == utf8.RuneError && size == 1:
		return 7
	}
	return size
}
