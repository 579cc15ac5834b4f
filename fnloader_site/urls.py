"""The URLs of the site."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path

from core.adminsite import apply_theme
from fnloader_site import accounts, preferences, samples, search
from fnloader_site.monitoring.views import healthz, metrics, readyz
from fnloader_site.overview import views

admin.autodiscover()
apply_theme(admin.site)
admin.site.site_header = admin.site.site_title = "fnloader"
admin.site.index_title = "Database"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("login/", auth.LoginView.as_view(authentication_form=accounts.LoginForm), name="login"),
    # A user whose session has ended is already logged out: the next login must not redirect here.
    path("logout/", login_not_required(auth.LogoutView.as_view()), name="logout"),
    path("search/", search.SearchView.as_view(), name="search"),
    path("sample/", search.SampleView.as_view(), name="sample"),
    path("sample/ask/<slug:name>/", search.ServerLookupView.as_view(), name="ask"),
    path("samples/", samples.SamplesView.as_view(), name="samples"),
    path("password/", accounts.PasswordChangeView.as_view(), name="password"),
    path("theme/", preferences.theme, name="theme"),
    path("", include("batches.urls")),
    path("", include("loader.urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
]
