package awsapi

import (
	"context"
	"maps"
	"net/url"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
	"ssmrun/internal/store"
)

type roleXML struct {
	Path        string
	Name        string `xml:"RoleName"`
	ID          string `xml:"RoleId"`
	ARN         string `xml:"Arn"`
	Created     string `xml:"CreateDate"`
	Trust       string `xml:"AssumeRolePolicyDocument"`
	Description string `xml:",omitempty"`
	MaxSession  int    `xml:"MaxSessionDuration"`
	Tags        *tagsXML
	LastUsed    *struct{} `xml:"RoleLastUsed"`
}

type tagsXML struct {
	Tags []tagXML `xml:"member"`
}

type tagXML struct{ Key, Value string }

// roleOut writes a role: whole, or as lists and CreateRole have it.
func roleOut(r *store.Role, whole bool) roleXML {
	out := roleXML{
		Path: r.Path, Name: r.Name, ID: r.ID, ARN: identity.RoleARN(r), Created: r.CreatedAt.UTC().Format(time.RFC3339),
		// Escaped as in an address, with %20 for a space.
		Trust:       strings.ReplaceAll(url.QueryEscape(r.Trust), "+", "%20"),
		Description: r.Description, MaxSession: r.MaxSession,
	}
	if whole {
		out.Tags = roleTags(r)
		out.LastUsed = &struct{}{}
	}
	return out
}

func roleTags(r *store.Role) *tagsXML {
	out := &tagsXML{}
	for _, t := range tagsOut(r.Tags) {
		out.Tags = append(out.Tags, tagXML(t))
	}
	return out
}

type roleResult struct{ Role roleXML }

func (a *API) createRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	if in.form.Has("PermissionsBoundary") { // it would narrow what the role may do
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "PermissionsBoundary: this service has none. Leave it out.")
	}
	tags, err := in.tags()
	if err != nil {
		return nil, err
	}
	if err := manyTags(tags); err != nil {
		return nil, err
	}
	r := store.Role{
		Account: c.Scope.Account, Name: in.RoleName, Path: in.Path, Description: in.Description,
		Trust: in.AssumeRolePolicyDocument, MaxSession: in.MaxSessionDuration, Tags: tags,
	}
	if err := a.cfg.Identity.CreateRole(ctx, &r); err != nil {
		return nil, err
	}
	out := roleOut(&r, false)
	if len(tags) > 0 {
		out.Tags = roleTags(&r)
	}
	return answerIAM(c, roleResult{out}), nil
}

func (a *API) getRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	r, err := a.cfg.Identity.Role(ctx, c.Scope.Account, in.RoleName)
	if err != nil {
		return nil, err
	}
	return answerIAM(c, roleResult{roleOut(r, true)}), nil
}

// updateRole replaces what is named; AWS takes an empty description for one too.
func (a *API) updateRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	err := a.cfg.Identity.ChangeRole(ctx, c.Scope.Account, in.RoleName, func(r *store.Role) error {
		if in.form.Has("Description") {
			r.Description = in.Description
		}
		if in.MaxSessionDuration != 0 {
			r.MaxSession = in.MaxSessionDuration
		}
		return nil
	})
	return answerIAM(c, struct{}{}), err
}

func (a *API) updateRoleDescription(ctx context.Context, c *Call, in *iamInput) (any, error) {
	if _, err := a.updateRole(ctx, c, in); err != nil {
		return nil, err
	}
	return a.getRole(ctx, c, in)
}

func (a *API) deleteRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	return answerIAM(c, nil), a.cfg.Identity.DeleteRole(ctx, c.Scope.Account, in.RoleName)
}

func (a *API) updateAssumeRolePolicy(ctx context.Context, c *Call, in *iamInput) (any, error) {
	return answerIAM(c, nil), a.cfg.Identity.SetTrust(ctx, c.Scope.Account, in.RoleName, in.PolicyDocument)
}

// defaultRoles is how many a page of ListRoles has without MaxItems, as IAM
// documents it.
const defaultRoles = 100

func (a *API) listRoles(ctx context.Context, c *Call, in *iamInput) (any, error) {
	question := in.PathPrefix
	limit := in.MaxItems
	if limit == 0 {
		limit = defaultRoles
	}
	page, err := a.pageOf(c, question, limit, in.Marker)
	if err != nil {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Invalid Marker: %s was not given by this list.", clipped(in.Marker))
	}
	var out struct {
		Roles struct {
			Roles []roleXML `xml:"member"`
		}
		More   bool   `xml:"IsTruncated"`
		Marker string `xml:",omitempty"`
	}
	err = a.cfg.Store.View(ctx, func(tx store.Tx) error {
		for looks := 0; looks < maxLooks && len(out.Roles.Roles) < limit; looks++ {
			page.Limit = limit - len(out.Roles.Roles)
			list, next, err := tx.ListRoles(c.Scope.Account, page)
			if err != nil {
				return err
			}
			for i := range list {
				if strings.HasPrefix(list[i].Path, in.PathPrefix) {
					out.Roles.Roles = append(out.Roles.Roles, roleOut(&list[i], false))
				}
			}
			if page.Token = next; next == "" {
				break
			}
		}
		return nil
	})
	out.Marker = a.nextOf(c, question, page.Token)
	out.More = out.Marker != ""
	return answerIAM(c, out), err
}

func (a *API) listRoleTags(ctx context.Context, c *Call, in *iamInput) (any, error) {
	r, err := a.cfg.Identity.Role(ctx, c.Scope.Account, in.RoleName)
	if err != nil {
		return nil, err
	}
	return answerIAM(c, struct {
		Tags *tagsXML
		More bool `xml:"IsTruncated"`
	}{Tags: roleTags(r)}), nil
}

func (a *API) tagRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	tags, err := in.tags()
	if err != nil {
		return nil, err
	}
	err = a.cfg.Identity.ChangeRole(ctx, c.Scope.Account, in.RoleName, func(r *store.Role) error {
		all := map[string]string{}
		maps.Copy(all, r.Tags)
		maps.Copy(all, tags)
		r.Tags = all
		return manyTags(all)
	})
	return answerIAM(c, nil), err
}

func (a *API) untagRole(ctx context.Context, c *Call, in *iamInput) (any, error) {
	err := a.cfg.Identity.ChangeRole(ctx, c.Scope.Account, in.RoleName, func(r *store.Role) error {
		for _, key := range numbered(in.form, "TagKeys.member") {
			delete(r.Tags, key)
		}
		return nil
	})
	return answerIAM(c, nil), err
}
