"""Settings, for admins: users and roles, reference ranges, what is in force, the audit trail."""

from core.cases.users import require
from core.settings import get_settings
from ui.components.cases import errors_shown, open_cases
from ui.components.page import header
from ui.settings.ranges import show_ranges
from ui.settings.server import show_audit, show_settings, show_thresholds
from ui.settings.users import show_alike, show_users

header("Settings", "Users and roles, reference ranges, current settings, audit trail.")
database, user = open_cases()
with errors_shown(end_page=True):
    require(user, "admin")
settings = get_settings()
show_users(database, user)
show_alike(database, user)
show_ranges(database, user, settings)
show_thresholds(settings)
show_settings(settings)
show_audit(database)
