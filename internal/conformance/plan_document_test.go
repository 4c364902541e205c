package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ssmrun/internal/document"
)

// The phrases of `given` that tell of a document's versions.
var (
	versionList    = regexp.MustCompile(`\bversions? ((?:\d+(?: \([\w-]+\))?(?:, | and )?)+)`)
	versionNamed   = regexp.MustCompile(`(\d+) \(([\w-]+)\)`)
	versionCount   = regexp.MustCompile(`\b(one|two|three|four|five|six) versions?\b`)
	latestVersion  = regexp.MustCompile(`\blatest(?: version)?(?: is)? (\d+)`)
	defaultVersion = regexp.MustCompile(`\bdefault(?: version)?(?: still| is)? (\d+)|(\d+) is (?:the )?default`)
	versionDeleted = regexp.MustCompile(`\bversions? ((?:\d+(?:, | and )?)+) deleted`)
	thenUpdates    = regexp.MustCompile(`then (\w+) updates?`)
	documentUsed   = regexp.MustCompile(`document version (\d+)`)
	sameContent    = regexp.MustCompile(`this very content|same content|unchanged content`)
	wholeDeleted   = regexp.MustCompile(`DeleteDocument without version|document (was |just )*deleted`)
	unnamed        = regexp.MustCompile(`without VersionName`)
	storedAs       = regexp.MustCompile(`stored as (JSON|YAML)`)
	isThere        = regexp.MustCompile(`document exists|already exists|document of (that|this) name`)
	share          = regexp.MustCompile(`\bnot (?:shared|public)|shared with an account(?: \((\$\w+)\))?|account added(?: again)?(?: without SharedDocumentVersion| with SharedDocumentVersion (\$\w+))?|AccountIdsToRemove \[(\w+)\]|public`)
)

// history is what <document> has been through.
type history struct {
	schema   string
	format   string
	total    int // versions that were ever made
	updates  int // how many of them after the deletions
	deleted  []int
	def      int
	names    map[int]string
	contents map[int]string
	tags     any
	create   map[string]any // a case's own CreateDocument
}

// planDocuments makes <document> what the case needs it to be.
func (p *plan) planDocuments(from []*theCase, text string) {
	one := from[0]
	all := []any{any(one.Input), any(one.Output)}
	if one.Message != nil {
		all = append(all, *one.Message)
	}
	if !mentions("document", all...) {
		return
	}
	p.foreign = strings.HasSuffix(one.Operation, "DocumentPermission")
	gone := wholeDeleted.MatchString(text)
	switch one.Operation {
	case "CreateDocument":
		p.hash = textAt(one.Input, "Content")
		if one.Code != "DocumentAlreadyExists" && !isThere.MatchString(text) {
			return
		}
	case "UpdateDocument":
		p.hash = textAt(one.Input, "Content")
	}
	if one.Code == "InvalidDocument" && !gone {
		return
	}
	h := readHistory(from, text)
	p.documents = append(h.calls(one, text), shares(text)...)
	if gone {
		p.documents = append(p.documents, request{"DeleteDocument", map[string]any{"Name": "<document>"}})
	}
	if p.hash == "" {
		p.hash = h.contents[shownVersion(one, h.def)]
	}
}

// readHistory puts together what the words and the answer tell.
func readHistory(from []*theCase, text string) *history {
	one := from[0]
	h := &history{schema: schemaOf(text), format: "JSON", names: map[int]string{}, contents: map[int]string{}}
	for _, c := range from[1:] {
		if c.Operation == "CreateDocument" {
			h.create = copyOf(c.Input)
			h.contents[1] = textAt(c.Input, "Content")
			h.format = orElse(textAt(c.Input, "DocumentFormat"), h.format)
		}
	}
	said := h.readWords(text)
	shown := h.readAnswer(one)
	if one.Message != nil {
		said = max(said, most(latestVersion, *one.Message))
	}
	h.total = max(said+h.updates, shown, 1)
	h.updates = min(h.updates, h.total-1)
	if h.def == 0 || h.def > h.total {
		h.def = 1
	}
	if m := storedAs.FindStringSubmatch(text); m != nil {
		h.format = m[1]
	}
	latest := h.total
	switch {
	case sameContent.MatchString(text), one.Code == "DuplicateDocumentContent":
		h.contents[latest] = textAt(one.Input, "Content")
		if one.Input["VersionName"] == nil && h.names[latest] == "" && strings.Contains(text, "VersionName") {
			h.names[latest] = "kept"
		}
	case one.Code == "DuplicateDocumentVersionName":
		h.names[latest] = textAt(one.Input, "VersionName")
	}
	for v := 1; v <= h.total; v++ {
		if h.contents[v] == "" {
			h.contents[v] = h.write(one, text, v)
		}
	}
	return h
}

// readWords gives the highest version that the words speak of as made before
// any update that they name.
func (h *history) readWords(text string) int {
	n := most(latestVersion, text)
	for _, m := range versionList.FindAllStringSubmatch(text, -1) {
		for _, v := range strings.FieldsFunc(m[1], func(r rune) bool { return r < '0' || r > '9' }) {
			n = max(n, number(v))
		}
		for _, named := range versionNamed.FindAllStringSubmatch(m[1], -1) {
			h.names[number(named[1])] = named[2]
		}
	}
	for _, m := range versionCount.FindAllStringSubmatch(text, -1) {
		n = max(n, number(m[1]))
	}
	if m := defaultVersion.FindStringSubmatch(text); m != nil {
		h.def = number(m[1] + m[2])
	}
	if m := documentUsed.FindStringSubmatch(text); m != nil {
		h.def = number(m[1]) // what runs is the default version
	}
	if m := versionDeleted.FindStringSubmatch(text); m != nil {
		for _, v := range strings.FieldsFunc(m[1], func(r rune) bool { return r < '0' || r > '9' }) {
			h.deleted = append(h.deleted, number(v))
		}
	}
	if m := thenUpdates.FindStringSubmatch(text); m != nil {
		h.updates = number(m[1])
	}
	return max(n, h.def)
}

// readAnswer gives how many versions the answer shows to have been made, and
// takes over what it tells of them.
func (h *history) readAnswer(one *theCase) int {
	if !one.success() {
		return 0
	}
	n := 0
	if one.Operation != "CreateDocument" {
		n = number(textAt(one.Input, "DocumentVersion"))
	}
	take := func(row any) {
		v := number(textAt(row, "DocumentVersion"))
		n = max(n, v, number(textAt(row, "LatestVersion")))
		if name := textAt(row, "VersionName"); name != "" {
			h.names[v] = name
		}
		if d := number(textAt(row, "DefaultVersion")); d > 0 && h.def == 0 {
			h.def = d
		}
		h.schema = orElse(textAt(row, "SchemaVersion"), h.schema)
		if l, _ := at(row, "Tags").([]any); len(l) > 0 {
			h.tags = l
		}
	}
	switch one.Operation {
	case "UpdateDocument":
		d := at(one.Output, "DocumentDescription")
		h.def = number(textAt(d, "DefaultVersion"))
		if l, _ := at(d, "Tags").([]any); len(l) > 0 {
			h.tags = l
		}
		return number(textAt(d, "DocumentVersion")) - 1
	case "DescribeDocument":
		d := at(one.Output, "Document")
		take(d)
		h.format = orElse(textAt(d, "DocumentFormat"), h.format)
	case "GetDocument":
		take(any(one.Output))
		v := number(textAt(one.Output, "DocumentVersion"))
		if h.def == 0 && (one.Input["DocumentVersion"] == nil || one.Input["DocumentVersion"] == "$DEFAULT") {
			h.def = v
		}
		h.contents[v] = h.stored(one)
	case "ListDocumentVersions":
		rows, _ := one.Output["DocumentVersions"].([]any)
		for _, row := range rows {
			take(row)
			if at(row, "IsDefaultVersion") == true {
				h.def = number(textAt(row, "DocumentVersion"))
			}
			h.format = orElse(textAt(row, "DocumentFormat"), h.format)
		}
	}
	return n
}

// stored is the content that GetDocument shows, as it was sent: where the answer
// is in another format than the document, in the document's own.
func (h *history) stored(one *theCase) string {
	content, shown := textAt(one.Output, "Content"), textAt(one.Output, "DocumentFormat")
	if onlyPlaceholder.MatchString(content) {
		return ""
	}
	if m := storedAs.FindStringSubmatch(one.Given); m != nil {
		h.format = m[1]
	} else {
		h.format = shown
	}
	if h.format == shown {
		return content
	}
	b, err := document.ConvertFormat([]byte(content), shown, h.format)
	if err != nil {
		return ""
	}
	return string(b)
}

// calls are what makes the document so.
func (h *history) calls(one *theCase, text string) []request {
	var list []request
	call := func(operation string, input map[string]any) {
		input["Name"] = "<document>"
		list = append(list, request{operation, input})
	}
	put := func(v int) {
		input := map[string]any{"Content": h.contents[v], "DocumentFormat": h.format}
		if name := h.names[v]; name != "" && !(unnamed.MatchString(text) && v == 1) {
			input["VersionName"] = name
		}
		if v > 1 {
			input["DocumentVersion"] = "$LATEST"
			call("UpdateDocument", input)
			return
		}
		input["DocumentType"] = "Command"
		if h.tags != nil {
			input["Tags"] = h.tags
		}
		if h.create != nil {
			input = h.create
		}
		call("CreateDocument", input)
	}
	before := h.total - h.updates
	for v := 1; v <= before; v++ {
		put(v)
	}
	if h.def != 1 && h.def <= before {
		call("UpdateDocumentDefaultVersion", map[string]any{"DocumentVersion": strconv.Itoa(h.def)})
	}
	for _, v := range h.deleted {
		call("DeleteDocument", map[string]any{"DocumentVersion": strconv.Itoa(v)})
	}
	for v := before + 1; v <= h.total; v++ {
		put(v)
	}
	return list
}

// shares are the calls that the words about sharing tell of, in their order.
func shares(text string) []request {
	var list []request
	change := func(input map[string]any) {
		input["Name"], input["PermissionType"] = "<document>", "Share"
		list = append(list, request{"ModifyDocumentPermission", input})
	}
	for _, m := range share.FindAllStringSubmatch(text, -1) {
		switch {
		case strings.HasPrefix(m[0], "not "):
			continue
		case m[3] != "":
			change(map[string]any{"AccountIdsToRemove": []any{m[3]}})
		case m[0] == "public":
			change(map[string]any{"AccountIdsToAdd": []any{"All"}})
		default:
			if strings.Contains(m[0], "again") {
				change(map[string]any{"AccountIdsToAdd": []any{otherAccount}})
			}
			input := map[string]any{"AccountIdsToAdd": []any{otherAccount}}
			if selector := m[1] + m[2]; selector != "" {
				input["SharedDocumentVersion"] = selector
			}
			change(input)
		}
	}
	return list
}

// shownVersion is the version that an answer describes.
func shownVersion(one *theCase, def int) int {
	for _, path := range [][]string{{"DocumentVersion"}, {"Document", "DocumentVersion"}} {
		if v := number(textAt(one.Output, path...)); v > 0 {
			return v
		}
	}
	return def
}

// most is the highest number that a phrase names in a text.
func most(phrase *regexp.Regexp, text string) int {
	n := 0
	for _, m := range phrase.FindAllStringSubmatch(text, -1) {
		n = max(n, slices.Max([]int{number(m[1])}))
	}
	return n
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// write is the content of a version of which nobody shows the text.
func (h *history) write(one *theCase, text string, v int) string {
	s := contentSpec{schema: h.schema, description: fmt.Sprintf("version %d", v)}
	if d := at(one.Output, "Document"); d != nil && v == shownVersion(one, h.def) {
		s.fromDescription(d)
	} else {
		s.fromWords(one, text, v == h.def)
	}
	b := s.json()
	if h.format == "YAML" {
		if y, err := document.ConvertFormat([]byte(b), "JSON", "YAML"); err == nil {
			return string(y)
		}
	}
	return b
}
