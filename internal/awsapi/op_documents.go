package awsapi

import (
	"context"

	"ssmrun"
	"ssmrun/internal/document"
	"ssmrun/internal/store"
)

type documentRequest struct {
	Name            string
	DocumentVersion string
	VersionName     string
	DocumentFormat  string
}

func (a *API) describeDocument(ctx context.Context, c *Call) (any, error) {
	var in documentRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	var out struct{ Document *documentDescription }
	err := a.cfg.Store.View(ctx, func(tx store.Tx) error {
		l, err := loadVersion(tx, c.Scope, &in)
		if err == nil {
			out.Document, err = a.describe(tx, l)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Document.Category, out.Document.CategoryEnum = []string{}, []string{}
	return out, nil
}

func (a *API) getDocument(ctx context.Context, c *Call) (any, error) {
	var in documentRequest
	if err := decode(c.Body, &in); err != nil {
		return nil, err
	}
	c.Subject = Subject{Document: in.Name}
	var l *loaded
	err := a.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		l, err = loadVersion(tx, c.Scope, &in)
		return err
	})
	if err != nil {
		return nil, err
	}
	v := &l.version
	format := orElse(in.DocumentFormat, document.FormatJSON)
	content := []byte(v.Content)
	switch {
	case v.Format == document.FormatText: // nothing else can be made of it
		format = document.FormatText
	case format != document.FormatText:
		if content, err = document.ConvertFormat(content, v.Format, format); err != nil {
			return nil, err
		}
	}
	return struct {
		Name            string
		CreatedDate     epoch
		DisplayName     string `json:",omitempty"`
		VersionName     string `json:",omitempty"`
		DocumentVersion string
		Status          string
		Content         string
		DocumentType    string
		DocumentFormat  string
		Requires        []ssmrun.DocumentRequirement `json:",omitempty"`
		ReviewStatus    ssmrun.ReviewStatus          `json:",omitempty"`
	}{
		l.shown, epoch(v.CreatedAt), v.DisplayName, v.Name, ssmrun.DocumentVersionNumber(v.Number),
		a.documentStatus(&l.Document, v), string(content), l.Type, format, l.Requires, v.ReviewStatus,
	}, nil
}
